"use strict";
for (const film of document.querySelectorAll(".film")) {
  const player = film.querySelector("video");
  if (!player) continue;
  const duration = Number(film.dataset.duration);
  const buttons = [...film.querySelectorAll("[data-start]")];
  const hands = [...film.querySelectorAll(".now")];
  const show = (time) => {
    const place = (600 * time) / duration;
    for (const hand of hands) {
      hand.setAttribute("x1", place);
      hand.setAttribute("x2", place);
    }
    for (const button of buttons) {
      // A player rounds the time that it is told.
      const after = time + 0.01;
      button.classList.toggle("now", after >= Number(button.dataset.start) && after < Number(button.dataset.end));
    }
  };
  const jump = (time, play) => {
    player.currentTime = time;
    show(time);
    const current = film.querySelector(".events .now");
    const list = film.querySelector(".events");
    if (current) list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 3;
    if (play) player.play().catch(() => {});
  };
  film.addEventListener("click", (click) => {
    const button = click.target.closest("[data-start]");
    if (button) return jump(Number(button.dataset.start), true);
    const lane = click.target.closest(".lane svg");
    if (!lane) return;
    const box = lane.getBoundingClientRect();
    jump((duration * (click.clientX - box.left)) / box.width, false);
  });
  player.addEventListener("timeupdate", () => show(player.currentTime));
  const lost = () => { film.querySelector(".lost").hidden = false; };
  player.addEventListener("error", lost);
  if (player.error) lost();
}
