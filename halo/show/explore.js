// The page of the explorer: draws `view`, and sends what is clicked.
function render({ model, el }) {
  const make = (tag, kind, text) => {
    const e = document.createElement(tag);
    if (kind) e.className = kind;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const root = make("div", "halo halo-explore");
  el.append(root);
  const send = (message) => {
    root.classList.add("busy");
    model.send(message);
  };

  function history(view) {
    const box = make("section", "states");
    const head = make("h3", "", "tried");
    const undo = make("button", "undo", "undo");
    undo.onclick = () => send({ do: "undo" });
    undo.disabled = view.states.find((s) => s.now).depth === 0;
    head.append(" ", undo);
    box.append(head);
    const best = Math.min(...view.states.map((s) => s.ms));
    for (const s of view.states) {
      const row = make("button", s.now ? "state now" : "state");
      const bar = make("span", "bar");
      bar.style.width = `${Math.max(4, 80 * (best / s.ms))}px`;
      row.append(bar, make("span", "ms", `${s.ms.toFixed(3)} ms`), make("code", "", `${"  ".repeat(s.depth)}${s.code}`));
      row.onclick = () => send({ do: "goto", number: s.number });
      box.append(row);
    }
    return box;
  }

  function steps(view) {
    const box = make("section", "steps");
    const head = make("h3", "", view.waiting ? "next (asking the nest …) " : "next ");
    const choice = make("select", "stage");
    choice.setAttribute("aria-label", "stage");
    for (const name of ["", ...view.stages]) {
      const option = make("option", "", name || "all stages");
      option.value = name;
      option.selected = name === view.stage;
      choice.append(option);
    }
    choice.onchange = () => send({ do: "look", stage: choice.value });
    head.append(choice);
    box.append(head);
    // While answers come in, nothing moves under the mouse.
    const sorted = view.waiting ? view.steps : [...view.steps].sort((a, b) => Boolean(a.reason) - Boolean(b.reason));
    for (const s of sorted) {
      const row = make("button", s.reason ? "step refused" : "step");
      row.append(make("code", "", s.code));
      if (s.reason) row.append(make("span", "reason", s.reason));
      row.title = s.reason || "apply, compile and time";
      row.onclick = () => send({ do: "apply", code: s.code });
      box.append(row);
    }
    const own = make("input", "own");
    own.placeholder = "a line of your own, then Enter";
    own.setAttribute("aria-label", "a line of your own");
    own.onkeydown = (event) => event.key === "Enter" && send({ do: "apply", code: own.value });
    box.append(own);
    return box;
  }

  function numbers(view) {
    const box = make("section", "numbers");
    if (!view.report) {
      const ask = make("button", "ask", "measure the stages");
      ask.onclick = () => send({ do: "report" });
      box.append(ask);
      return box;
    }
    const table = make("table");
    view.report.forEach((row, k) => {
      const line = make("tr");
      row.forEach((cell) => line.append(make(k ? "td" : "th", "", cell)));
      table.append(line);
    });
    const roof = make("div");
    roof.innerHTML = view.roofline;
    box.append(make("h3", "", "stages"), table, ...view.notes.map((line) => make("p", "note", line)), roof);
    if (view.order) {
      const grids = make("div");
      grids.innerHTML = view.order;
      box.append(make("h3", "", "order of computation, on 8 by 16 points"), grids);
    }
    return box;
  }

  function draw() {
    const view = model.get("view");
    root.classList.remove("busy");
    const left = make("div", "left"), right = make("div", "right"), nest = make("section");
    nest.innerHTML = view.nest;
    const code = make("section");
    const copy = make("button", "copy", "copy");
    copy.onclick = () => {
      if (navigator.clipboard) return navigator.clipboard.writeText(view.code).then(() => (copy.textContent = "copied"));
      getSelection().selectAllChildren(code.lastChild); // a page that is not secure has none: Ctrl-C does it
    };
    const head = make("h3", "", "schedule");
    head.append(" ", copy);
    code.append(head, make("pre", "code halo-schedule", view.code || "# without directives"));
    left.append(make("h3", "", view.name), nest, code);
    right.append(history(view), steps(view));
    const error = make("pre", "error", view.error);
    error.hidden = !view.error;
    root.replaceChildren(error, left, right, numbers(view));
    if (view.waiting) setTimeout(() => model.send({ do: "more" }), 0);
  }

  model.on("change:view", draw);
  draw();
  return () => model.off("change:view", draw);
}

export default { render };
