// A slider and a button that play `steps` pictures: `show(now)` draws one, `label(now)` says which.
function play(root, steps, stride, show, label = String) {
  const PAUSE = 60; // milliseconds from picture to picture
  const slider = root.querySelector("input"), said = root.querySelector("output"), button = root.querySelector("button");
  let timer = null;

  function at(now) {
    said.textContent = label(now);
    show(now);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "play";
  }

  function next() {
    slider.value = +slider.value + stride;
    at(+slider.value);
    if (+slider.value >= steps) stop();
  }

  button.onclick = () => {
    if (timer) return stop();
    if (+slider.value >= steps) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(next, PAUSE);
  };
  slider.oninput = () => (stop(), at(+slider.value));
}
