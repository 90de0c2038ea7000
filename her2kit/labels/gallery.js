// The front end of her2kit.labels.gallery. It shows cells and takes keys; it decides nothing and stores nothing.
// A decision counts as saved when the kernel says so, which it does once the log has it on disk.
// Every word from the data reaches the page as text, never as markup.

const AHEAD = 8, BEHIND = 8; // pictures kept ready around the current cell

function render({ model, el }) {
  const about = model.get("about"), cells = model.get("cells");
  const colour = Object.fromEntries(about.keys.map((k) => [k.label, k.colour]));
  const labels = new Array(cells.length).fill(null);
  const pictures = new Map(), asked = new Set();
  let order = []; // places in the order in which they were decided
  let pending = []; // sent, not yet answered: {id, kind, place, label, since}
  let place = 0, ready = false, gone = false, refusal = null, sent = 0;
  const run = Math.random().toString(36).slice(2); // answers to an earlier view of this page are not ours

  // What is on the page, from the top down.
  const bar = make("div", { class: "bar" }, make("i"));
  const count = make("span", { class: "count" });
  const near = picture("close", about.near_um, true), far = picture("wide", about.far_um, false);
  const title = make("h3"), facts = make("p", { class: "facts" }), given = make("p", { class: "given" });
  const answers = make("div", { class: "answers", role: "group", "aria-label": "Labels" });
  const buttons = new Map();
  for (const { key, label, means, colour: back } of about.keys) {
    const button = make(
      "button",
      { type: "button", class: "answer", "aria-keyshortcuts": key, "data-label": label,
        style: `--back:${back};--on:${ink(back)}`, onclick: () => decide(label) },
      make("kbd", {}, key),
      make("span", { class: "what" }, make("b", {}, words(label)), make("small", {}, means)),
    );
    buttons.set(label, button);
    answers.append(button);
  }
  const reason = make("input", {
    type: "text", maxlength: 500, placeholder: "Reason, if one is needed", "aria-label": "Reason (key r)",
    "aria-keyshortcuts": "r",
  });
  const undo = make("button", { type: "button", class: "plain", "aria-keyshortcuts": "u", onclick: takeBack },
    make("kbd", {}, "u"), "Undo");
  const back = make("button", { type: "button", class: "plain", "aria-keyshortcuts": "ArrowLeft", "aria-label": "Previous cell", onclick: () => go(place - 1) }, make("kbd", {}, "←"));
  const on = make("button", { type: "button", class: "plain", "aria-keyshortcuts": "ArrowRight", "aria-label": "Next cell", onclick: () => go(place + 1) }, make("kbd", {}, "→"));
  const strip = make("ol", { class: "strip", "aria-label": "Neighbouring cells in reading order" });
  const saved = make("p", { class: "saved", role: "status", "aria-live": "polite" });
  const alarm = make("p", { class: "alarm", role: "alert" });
  const hint = make("p", { class: "hint" }, "Click here, or press Tab until the frame lights up, then read with the keys.");
  const root = make(
    "section",
    { class: "her2kit-reading her2kit-gallery", tabindex: "0", role: "application",
      "aria-label": `${about.round} round, reader ${about.reader}: one key labels a cell` },
    make("header", {},
      make("p", { class: "who" }, make("span", {}, `${about.round} round`), make("b", {}, `reader ${about.reader}`)),
      bar, count),
    alarm,
    make("div", { class: "stage" },
      near.figure,
      make("div", { class: "side" },
        make("div", { class: "context" }, far.figure, make("div", { class: "about" }, title, given, facts)),
        answers,
        make("div", { class: "tools" }, make("label", { class: "reason" }, make("kbd", {}, "r"), reason), undo, back, on))),
    strip,
    make("footer", {}, saved, hint),
  );
  window.addEventListener("keydown", pressed, true); // before JupyterLab, whose own x would cut the cell
  root.addEventListener("click", (event) => {
    if (!event.target.closest("button, input")) root.focus({ preventScroll: true });
  });
  el.append(root);

  function words(label) {
    return label === "not tumour" ? "Not a tumour cell" : label[0].toUpperCase() + label.slice(1);
  }

  function picture(name, um, marked) {
    const image = make("img", { alt: "", draggable: "false" });
    const over = document.createElementNS(NS, "svg");
    over.setAttribute("viewBox", "0 0 100 100");
    over.setAttribute("aria-hidden", "true");
    const figure = make("figure", { class: name }, image, over, scaleBar(um));
    return { figure, image, over, marked };
  }

  function corners(over, [left, top, right, bottom]) { // the membrane stays free: corners, not an outline
    over.replaceChildren();
    const [l, t, r, b] = [left, top, right, bottom].map((v) => 100 * v);
    const arm = Math.min(5, (r - l) / 3, (b - t) / 3);
    const d = [[l, t, 1, 1], [r, t, -1, 1], [r, b, -1, -1], [l, b, 1, -1]]
      .map(([x, y, h, v]) => `M${x + h * arm} ${y}L${x} ${y}L${x} ${y + v * arm}`).join("");
    for (const [stroke, width] of [["#ffffffcc", 5], ["#14181f", 2]]) {
      const path = document.createElementNS(NS, "path");
      for (const [k, v] of Object.entries({ d, stroke, "stroke-width": width, fill: "none", "vector-effect": "non-scaling-stroke" })) path.setAttribute(k, v);
      over.append(path);
    }
  }

  // What the reader does.
  function pressed(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const theirs = event.ctrlKey || event.metaKey || event.altKey || key === "Tab" || (event.shiftKey && key === "Enter");
    if (!root.contains(event.target) || theirs) return; // saving the notebook and the like stay JupyterLab's
    event.stopPropagation();
    if (event.target === reason) {
      if (key !== "Enter" && key !== "Escape") return;
      if (key === "Escape") reason.value = "";
      root.focus({ preventScroll: true });
    } else {
      const known = about.keys.find((k) => k.key === key);
      if (known) {
        if (!event.repeat) decide(known.label);
      } else if (key === "u") {
        if (!event.repeat) takeBack();
      } else if (key === "ArrowLeft") go(place - 1);
      else if (key === "ArrowRight") go(place + 1);
      else if (key === "r") reason.focus();
      else return; // a button's Enter and Space, and what scrolls
    }
    event.preventDefault();
  }

  function tell(message) { // a kernel that was restarted knows nothing of this page: sending then fails
    try {
      model.send(message);
    } catch {
      gone = true;
    }
  }

  function late() {
    return gone || (pending.length > 0 && Date.now() - pending[0].since > PATIENCE_MS);
  }

  function held() { // no further decision while the kernel has not taken the last ones
    return !ready || late();
  }

  function decide(label) {
    if (held() || !cells.length) return show();
    const id = `${run}-${++sent}`;
    pending.push({ id, kind: "decide", place, label, since: Date.now() });
    tell({ kind: "decide", id, place, label, reason: reason.value.trim() });
    reason.value = "";
    refusal = null;
    go(following(place));
  }

  function takeBack() {
    if (held()) return show();
    const id = `${run}-${++sent}`;
    pending.push({ id, kind: "undo", since: Date.now() });
    tell({ kind: "undo", id });
    show();
  }

  function shown(at) { // the label of a cell, saved or on its way
    const coming = pending.filter((p) => p.kind === "decide" && p.place === at).pop();
    return coming ? coming.label : labels[at];
  }

  function following(at) { // the next undecided cell, from here on and then from the start
    for (let i = 1; i <= cells.length; i++) {
      const next = (at + i) % cells.length;
      if (shown(next) === null) return next;
    }
    return Math.min(at + 1, cells.length - 1);
  }

  function go(to) {
    place = Math.max(0, Math.min(cells.length - 1, to));
    fetch();
    show();
  }

  function fetch() {
    const wanted = [place];
    for (let i = 1; i <= Math.max(AHEAD, BEHIND); i++) {
      if (i <= AHEAD) wanted.push(place + i);
      if (i <= BEHIND) wanted.push(place - i);
    }
    const places = wanted.filter((p) => p >= 0 && p < cells.length && !pictures.has(p) && !asked.has(p));
    places.forEach((p) => asked.add(p));
    if (ready && places.length) tell({ kind: "pictures", places });
    for (const [p, kept] of pictures) { // far away: fetched again when it is needed
      if (Math.abs(p - place) > 60) {
        [kept.near, kept.far].forEach((url) => URL.revokeObjectURL(url));
        pictures.delete(p);
        asked.delete(p);
      }
    }
  }

  // What the kernel says.
  function heard(message, buffers) {
    if (message.kind === "all") {
      message.labels.forEach((label, i) => { labels[i] = label; });
      order = message.order;
      if (!ready) { ready = true; asked.clear(); go(message.next ?? 0); }
      show();
    } else if (message.kind === "picture") {
      const [nearBytes, farBytes] = buffers;
      const url = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
      pictures.set(message.place, { near: url(nearBytes), far: url(farBytes), mark: message.mark });
      show();
    } else if (message.kind === "saved" || message.kind === "refused") {
      const mine = message.id ? pending.find((p) => p.id === message.id) : null;
      pending = pending.filter((p) => p.id !== message.id);
      if (message.kind === "refused") {
        const first = !refusal;
        refusal = message.words;
        if (first && mine && mine.kind === "decide") return go(mine.place);
      }
      else if (message.place !== null) {
        labels[message.place] = message.label;
        order = order.filter((p) => p !== message.place);
        if (message.label !== null) order.push(message.place);
        if (mine && mine.kind === "undo") return go(message.place);
      }
      show();
    }
  }

  // What is seen.
  function show() {
    const n = cells.length, done = labels.filter((l) => l !== null).length;
    bar.firstChild.style.width = n ? `${(100 * done) / n}%` : "0";
    bar.setAttribute("role", "progressbar");
    for (const [k, v] of Object.entries({ "aria-valuemin": 0, "aria-valuemax": n, "aria-valuenow": done, "aria-label": "Cells decided" })) bar.setAttribute(k, v);
    count.textContent = `${done.toLocaleString("en")} of ${n.toLocaleString("en")} decided`;
    root.classList.toggle("done", n > 0 && done === n);
    if (n) cell(n);
    alarm.hidden = !(late() || refusal);
    alarm.textContent = late()
      ? `${pending.length ? `${pending.length} not saved: the` : "The"} kernel does not answer. What is shown as saved is safe. If the kernel died, restart it and run this cell again; it goes on from the last saved cell.`
      : refusal ? `Not saved: ${refusal}` : "";
    const last = order.length ? order[order.length - 1] : null;
    saved.textContent = !ready ? "Waiting for the kernel …"
      : pending.length ? `Saving ${pending.length} …`
      : done === n && n ? "All cells are decided, and every decision is saved. The round can be closed."
      : last === null ? "Nothing decided yet. Each decision is saved at once."
      : `Saved: cell ${(last + 1).toLocaleString("en")}, ${labels[last]}.`;
    root.dataset.pending = pending.length;
    root.dataset.done = done;
    root.dataset.place = place;
    root.dataset.ready = ready ? "yes" : "no";
    root.dataset.alarm = alarm.hidden ? "no" : "yes";
  }

  function cell(n) {
    const [slide, id, came] = cells[place], kept = pictures.get(place), label = shown(place);
    for (const side of [near, far]) {
      side.figure.classList.toggle("waiting", !kept);
      if (!kept) { side.image.removeAttribute("src"); side.over.replaceChildren(); continue; }
      const url = side === near ? kept.near : kept.far;
      if (side.image.getAttribute("src") !== url) side.image.src = url;
      side.image.alt = side === near ? `Cell ${place + 1}, ${about.near_um} µm wide` : `Its surroundings, ${about.far_um} µm wide`;
      const half = about.near_um / about.far_um / 2;
      corners(side.over, side === near ? kept.mark : [0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half]);
    }
    near.figure.style.setProperty("--tone", labels[place] ? colour[labels[place]] : "transparent");
    title.textContent = `Cell ${(place + 1).toLocaleString("en")} of ${n.toLocaleString("en")}`;
    facts.textContent = `${id} · ${slide}`;
    facts.title = facts.textContent;
    given.replaceChildren();
    if (came !== null && came !== undefined) {
      given.append("Came as ", make("b", { class: "chip", style: `--back:${colour[came]};--on:${ink(colour[came])}` }, came));
    } else given.append(about.blind ? "Read blind" : "Came without a label");
    for (const [name, button] of buttons) {
      button.setAttribute("aria-pressed", name === label ? "true" : "false");
      button.disabled = Boolean(held());
    }
    undo.disabled = !order.length && !pending.length;
    back.disabled = place === 0;
    on.disabled = place === n - 1;
    const from = Math.max(0, Math.min(place - 5, n - 11)), to = Math.min(n, from + 11);
    strip.replaceChildren(...Array.from({ length: to - from }, (_, i) => thumb(from + i)));
  }

  function thumb(at) {
    const label = shown(at), coming = pending.some((p) => p.place === at);
    const style = label ? `--back:${colour[label]};--on:${ink(colour[label])}` : "";
    const short = label === "not tumour" ? "n" : label === "cannot be labelled" ? "x" : label ?? "·";
    const image = pictures.has(at) ? make("img", { src: pictures.get(at).near, alt: "", draggable: "false" }) : make("span", { class: "blank" });
    const button = make("button", {
      type: "button", tabindex: "-1", class: `thumb${label ? " labelled" : ""}${coming ? " coming" : ""}`, style,
      "aria-current": at === place ? "true" : null,
      "aria-label": `Cell ${at + 1}: ${label ?? "undecided"}${coming ? ", not saved yet" : ""}`,
      onclick: () => { go(at); root.focus({ preventScroll: true }); },
    }, image, make("span", { class: "tag" }, short));
    return make("li", {}, button);
  }

  const clock = setInterval(() => { if (pending.length) show(); }, 500);
  const asking = setInterval(() => { if (!ready) tell({ kind: "ready" }); }, 2000);
  model.on("msg:custom", heard);
  show();
  tell({ kind: "ready" });
  return () => {
    window.removeEventListener("keydown", pressed, true);
    clearInterval(clock);
    clearInterval(asking);
    model.off("msg:custom", heard);
    for (const kept of pictures.values()) [kept.near, kept.far].forEach((url) => URL.revokeObjectURL(url));
  };
}

export default { render };
