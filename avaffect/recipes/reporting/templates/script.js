"use strict";
// Without this script the page shows the browser's own players.
for (const audio of document.querySelectorAll(".tile audio")) {
  const button = document.createElement("button");
  const name = audio.getAttribute("aria-label");
  const show = () => {
    const playing = !audio.paused;
    button.textContent = playing ? "❚❚ pause" : "▶ play";
    button.setAttribute("aria-label", `${playing ? "Pause" : "Play"}: ${name}`);
  };
  button.type = "button";
  button.className = "play";
  button.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
  for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, show);
  show();
  audio.controls = false;
  audio.parentElement.classList.add("played");
  audio.before(button);
}
// One sound at a time.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);
// A line through the traces at the moment that is heard; a click on them moves there.
for (const figure of document.querySelectorAll(".recording")) {
  const audio = figure.querySelector("audio"), line = figure.querySelector(".playhead");
  if (!audio || !line) continue;
  const drawing = line.ownerSVGElement;
  const left = Number(line.dataset.left), width = Number(line.dataset.width), seconds = Number(line.dataset.seconds);
  const follow = () => {
    const x = left + Math.min(audio.currentTime / seconds, 1) * width;
    for (const end of ["x1", "x2"]) line.setAttribute(end, x);
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => { figure.classList.add("playing"); follow(); });
  audio.addEventListener("seeked", follow);
  drawing.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse()).x;
    audio.currentTime = Math.max(0, Math.min((at - left) / width, 1)) * seconds;
    audio.play();
  });
}
// What is wider than the page begins at its middle.
for (const wide of document.querySelectorAll(".wide")) wide.scrollLeft = (wide.scrollWidth - wide.clientWidth) / 2;
// A link to something folded opens it.
const unfold = () => {
  const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (there instanceof HTMLDetailsElement) there.open = true;
};
addEventListener("hashchange", unfold);
unfold();
