// The front end of her2kit.course.touch_widget: a slider over pictures that are all here. It asks the kernel
// for nothing. Every word from the data reaches the page as text, never as markup.

function render({ model, el }) {
  const { name, labels, words } = model.get("about"), last = labels.length - 1;
  let images = [];

  const value = make("output", { class: "value" });
  const slider = make("input", { type: "range", min: 0, max: last, step: 1, "aria-label": name });
  const less = make("button", { type: "button", class: "plain", "aria-label": "Step back", onclick: () => go(model.get("place") - 1) }, make("kbd", {}, "←"));
  const more = make("button", { type: "button", class: "plain", "aria-label": "Step on", onclick: () => go(model.get("place") + 1) }, make("kbd", {}, "→"));
  const figure = make("figure"), said = make("p", { class: "said" });
  const ends = make("p", { class: "ends", "aria-hidden": "true" }, make("span", {}, labels[0]), make("span", {}, labels[last]));
  const root = make(
    "section", { class: "her2kit-reading her2kit-touch", "aria-label": name },
    make("header", {}, make("p", { class: "who" }, make("span", {}, name)), value),
    make("div", { class: "track" }, less, make("div", { class: "rail" }, slider, ends), more),
    figure, said,
    make("footer", {}, make("p", { class: "hint" }, "Drag the handle, or click here and press the arrow keys.")));
  slider.addEventListener("input", () => go(Number(slider.value)));
  root.addEventListener("click", () => slider.focus({ preventScroll: true }));
  window.addEventListener("keydown", pressed, true); // before JupyterLab, whose arrow keys go to another cell
  model.on("change:place", show);
  model.on("change:pictures", hang);
  el.append(root);
  hang();

  function pressed(event) { // the slider itself does what its keys do; JupyterLab must not hear of them
    if (!root.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Tab" && !(event.shiftKey && event.key === "Enter")) event.stopPropagation();
  }

  function go(to) { // kept by the page alone, for all views of this slider
    model.set("place", Math.max(0, Math.min(last, to)));
  }

  function hang() {
    images.forEach((image) => URL.revokeObjectURL(image.src));
    images = model.get("pictures").map((bytes, i) =>
      make("img", { src: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })), alt: `${labels[i]}. ${words[i]}`, draggable: "false" }));
    images.forEach((image) => image.decode().catch(() => null)); // ready before it is asked for
    show();
  }

  function show() {
    const place = model.get("place");
    slider.value = place;
    slider.setAttribute("aria-valuetext", `${labels[place]}. ${words[place]}`);
    value.textContent = labels[place];
    said.textContent = words[place];
    less.disabled = place === 0;
    more.disabled = place === last;
    if (images.length && figure.firstChild !== images[place]) figure.replaceChildren(images[place]);
    Object.assign(root.dataset, { place, ready: images.length ? "yes" : "no" });
  }

  return () => {
    window.removeEventListener("keydown", pressed, true);
    model.off("change:place", show);
    model.off("change:pictures", hang);
    images.forEach((image) => URL.revokeObjectURL(image.src));
  };
}

export default { render };
