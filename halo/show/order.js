// Cells appear when they are computed; a ring marks the values that wait in memory for their readers.
(function (root, data, steps) {
  const slider = root.querySelector("input"), said = root.querySelector("output"), button = root.querySelector("button");
  const cells = [...root.querySelectorAll("[data-grid]")].map((grid) => [...grid.querySelectorAll("td")]);
  const STRIDE = Math.max(1, Math.round(steps / 256)), PAUSE = 60; // steps and milliseconds from picture to picture
  let timer = null;

  function show(now) {
    said.textContent = now;
    data.forEach((grid, k) => {
      const done = new Set(grid.stores.filter(([, n]) => n <= now).map(([cell]) => cell));
      const live = new Set(grid.live.filter(([, from, to]) => from <= now && now < to).map(([cell]) => cell));
      cells[k].forEach((td, cell) => {
        td.classList.toggle("wait", !done.has(cell) && !td.classList.contains("never"));
        td.classList.toggle("live", live.has(cell));
      });
    });
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "play";
  }

  function next() {
    slider.value = +slider.value + STRIDE;
    show(+slider.value);
    if (+slider.value >= steps) stop();
  }

  button.onclick = () => {
    if (timer) return stop();
    if (+slider.value >= steps) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(next, PAUSE);
  };
  slider.oninput = () => (stop(), show(+slider.value));
})
