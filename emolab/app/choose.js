element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-segment]");
  if (button) trigger("choose", {segment: Number(button.dataset.segment)});
});
