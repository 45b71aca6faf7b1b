// Buttons with times play that part of the recording, and stop at its end.
(() => {
  const player = () => document.getElementById("em-player");
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-start]");
    const video = player();
    if (!button || !video) return;
    document.querySelectorAll("[data-start][aria-current]").forEach((each) => each.removeAttribute("aria-current"));
    button.setAttribute("aria-current", "true");
    video.currentTime = Number(button.dataset.start);
    video.dataset.until = button.dataset.end;
    video.play().catch(() => undefined);
  });
  document.addEventListener("timeupdate", (event) => {
    const video = event.target;
    if (video.id === "em-player" && video.dataset.until && video.currentTime >= Number(video.dataset.until)) {
      delete video.dataset.until;
      video.pause();
    }
  }, true); // media events do not bubble
})();
