// Cells appear when they are computed; a ring marks the values that wait in memory for their readers.
function order(root, data, steps) {
  const cells = [...root.querySelectorAll("[data-grid]")].map((grid) => [...grid.querySelectorAll("td")]);

  function show(now) {
    data.forEach((grid, k) => {
      const done = new Set(grid.stores.filter(([, n]) => n <= now).map(([cell]) => cell));
      const live = new Set(grid.live.filter(([, from, to]) => from <= now && now < to).map(([cell]) => cell));
      cells[k].forEach((td, cell) => {
        td.classList.toggle("wait", !done.has(cell) && !td.classList.contains("never"));
        td.classList.toggle("live", live.has(cell));
      });
    });
  }

  play(root, steps, Math.max(1, Math.round(steps / 256)), show);
}
