// Each array is a canvas: what is stored now is filled, what is loaded now has a ring, what waits in memory is pale.
function trace(root, data) {
  const STORE = "#0b5fb0", LOAD = "#e08a00", LIVE = "#8fb4d9";
  const figures = [...root.querySelectorAll("figure")];
  const panels = data.panels.map((panel, k) => {
    const canvas = figures[k].querySelector("canvas"), side = Math.max(2, Math.min(16, Math.floor(300 / panel.columns)));
    canvas.width = panel.columns * side;
    canvas.height = panel.rows * side;
    return { ...panel, side, pen: canvas.getContext("2d"), memory: figures[k].querySelector("small") };
  });
  let last = null, states = null;

  function start() {
    last = 0;
    states = panels.map((p) => ({ live: new Set(p.there), stored: [], loaded: [], memory: "" }));
  }

  function advance(now) {
    if (last === null || now < last) start();
    for (; last < now; last++) {
      for (const s of states) s.stored = s.loaded = [];
      for (const [k, stored, loaded, on, off, memory] of data.frames[last]) {
        const s = states[k];
        s.stored = stored;
        s.loaded = loaded;
        on.forEach((cell) => s.live.add(cell));
        off.forEach((cell) => s.live.delete(cell));
        if (memory !== null) s.memory = memory;
      }
    }
  }

  function show(now) {
    advance(now);
    panels.forEach((p, k) => {
      const { pen, side, columns } = p, s = states[k];
      const at = (cell) => [(cell % columns) * side, Math.floor(cell / columns) * side];
      const fill = (cells, colour) => {
        pen.fillStyle = colour;
        for (const cell of cells) pen.fillRect(...at(cell), side - 1, side - 1);
      };
      pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height);
      fill(p.shown, "rgba(128, 128, 128, .13)");
      fill(s.live, LIVE);
      fill(s.stored, STORE);
      pen.strokeStyle = LOAD;
      pen.lineWidth = Math.max(1, side / 5);
      for (const cell of s.loaded) {
        const [x, y] = at(cell), inset = pen.lineWidth / 2;
        pen.strokeRect(x + inset, y + inset, side - 1 - 2 * inset, side - 1 - 2 * inset);
      }
      p.memory.textContent = s.memory;
    });
  }

  play(root, data.frames.length, 1, show, (now) => `step ${data.steps[now]}`);
  show(data.frames.length);
}
