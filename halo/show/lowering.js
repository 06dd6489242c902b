// The page of halo.show.lowering: unpacks the texts, and shows the passes, or the last nest beside LLVM IR and assembly.
(async () => {
  const CONTEXT = 3; // lines round a change that stay visible
  const PORTION = 2000; // lines that are shown at once
  const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());
  const steps = data.steps.map(([name, says, ms, text, changes]) => ({ name, says, ms, changes, lines: text.split("\n") }));
  const main = document.querySelector("main");

  function make(tag, text, kind) {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (kind) e.className = kind;
    return e;
  }

  // Passes, each with what it changed

  function diff(k) {
    const box = make("div", undefined, "code");
    const after = steps[k].lines, before = k ? steps[k - 1].lines : [];
    const kept = (from, to) => after.slice(from, to).map((line) => make("div", line, "keep"));
    function keep(from, to) {
      const head = from ? CONTEXT : 0, tail = to < after.length ? CONTEXT : 0;
      if (to - from <= head + tail + 2) return box.append(...kept(from, to));
      const fold = make("div", `… ${to - from - head - tail} lines that did not change`, "fold");
      fold.onclick = () => fold.replaceWith(...kept(from + head, to - tail));
      box.append(...kept(from, from + head), fold, ...kept(to - tail, to));
    }
    let at = 0;
    for (const [, i1, i2, j1, j2] of steps[k].changes) {
      keep(at, j1);
      box.append(...before.slice(i1, i2).map((line) => make("div", line, "del")));
      box.append(...after.slice(j1, j2).map((line) => make("div", line, "add")));
      at = j2;
    }
    keep(at, after.length);
    return box;
  }

  function passes() {
    const table = make("table");
    steps.forEach((step, k) => {
      const row = make("tr", undefined, step.changes.length ? "step" : "step same");
      row.append(make("td", step.name), make("td", `${step.ms.toFixed(1)} ms`, "n"));
      row.append(make("td", `${step.lines.length} lines`, "n"), make("td", step.says));
      let open = null;
      row.onclick = () => {
        if (open) open.remove();
        if (open) return (open = null);
        const cell = make("td");
        cell.colSpan = 4;
        cell.append(diff(k));
        open = make("tr");
        open.append(cell);
        row.after(open);
      };
      table.append(row);
    });
    main.replaceChildren(table);
  }

  // The nest, LLVM IR and assembly: which loop a line belongs to, and how deep that is

  const nest = steps[steps.length - 1].lines;
  const parent = [], depth = [];

  function ownersInNest() {
    const indent = (line) => line.length - line.trimStart().length;
    const around = []; // [indentation, loop] of the loops that are open
    let next = 0;
    return nest.map((line, k) => {
      while (around.length && around[around.length - 1][0] >= indent(line)) around.pop();
      const inside = around.length ? around[around.length - 1][1] : -1;
      if (data.loops[next] !== k) return inside;
      parent[next] = inside;
      depth[next] = around.length + 1;
      around.push([indent(line), next]);
      return next++;
    });
  }

  function ownersByLabel(lines) {
    let now = -1;
    return lines.map((line) => {
      const found = line.match(/(?:^|# %)(loop|after)\.(\d+)\./);
      if (found) now = found[1] === "loop" ? +found[2] : parent[+found[2]];
      else if (/^(define|[\w.]+: +# @)/.test(line)) now = -1;
      return now;
    });
  }

  function columns() {
    const ofNest = ownersInNest();
    const llvm = data.llvm.trimEnd().split("\n");
    const asm = data.asm.trimEnd().split("\n").filter((line) => !/^\t\.(?!long|quad)/.test(line));
    const box = make("div", undefined, "columns");
    const ofLoop = new Map(); // the elements of each loop, in all columns

    function column(name, lines, owners) {
      const section = make("section"), code = make("div", undefined, "code");
      let shown = 0;
      function more() {
        for (const end = Math.min(shown + PORTION, lines.length); shown < end; shown++) {
          const line = make("div", lines[shown]), loop = owners[shown];
          code.append(line);
          if (loop < 0) continue;
          line.style.borderLeftColor = `rgba(200, 60, 0, ${Math.min(0.15 + 0.2 * depth[loop], 1)})`;
          line.dataset.loop = loop;
          if (!ofLoop.has(loop)) ofLoop.set(loop, []);
          ofLoop.get(loop).push(line);
        }
        if (shown === lines.length) return;
        const button = make("button", `the next of ${lines.length - shown} lines`, "more");
        button.onclick = () => (button.remove(), more());
        code.append(button);
      }
      more();
      section.append(make("h2", `${name}, ${lines.length} lines`), code);
      box.append(section);
    }

    column("nest", nest, ofNest);
    column("LLVM IR", llvm, ownersByLabel(llvm));
    column("assembly", asm, ownersByLabel(asm));
    let marked = [];
    function mark(event) {
      const line = event.target.closest("[data-loop]");
      marked.forEach((e) => e.classList.remove("pick"));
      marked = line ? ofLoop.get(+line.dataset.loop) : [];
      marked.forEach((e) => e.classList.add("pick"));
      return line;
    }
    box.onmouseover = mark;
    box.onclick = (event) => {
      const line = mark(event);
      for (const section of line ? box.children : []) {
        const first = marked.find((e) => section.contains(e));
        if (first && !section.contains(line)) first.scrollIntoView({ block: "center" });
      }
    };
    main.replaceChildren(box);
  }

  const nav = document.querySelector("nav");
  for (const [name, show] of [["passes", passes], ["nest, LLVM IR, assembly", columns]]) {
    const button = make("button", name);
    button.onclick = () => {
      [...nav.children].forEach((e) => e.classList.toggle("on", e === button));
      show();
    };
    nav.append(button, " ");
  }
  nav.firstChild.click();
  document.documentElement.dataset.ready = "1";
})();
