// The front end of her2kit.course.trainer_widget. It shows fields and takes keys; it knows no answer and stores
// nothing. What is true of a field comes from the kernel, once the file has the reader's answer.
// Every word from the data reaches the page as text, never as markup.

function draw(tag, properties, text) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function render({ model, el }) {
  const about = model.get("about"), n = about.fields;
  const colour = Object.fromEntries(about.keys.map((k) => [k.score, k.colour]));
  const answers = new Array(n).fill(null), truths = new Map(), pictures = new Map(), asked = new Set();
  const run = Math.random().toString(36).slice(2); // answers to an earlier view of this page are not ours
  let place = 0, ready = false, gone = false, refusal = null, sent = 0, pending = null, kappas = [];
  let outlines = true;

  // What is on the page, from the top down.
  const bar = make("div", { class: "bar" }, make("i"));
  const count = make("span", { class: "count" });
  const alarm = make("p", { class: "alarm", role: "alert" });
  const image = make("img", { alt: "", draggable: "false" });
  const figure = make("figure", {}, image, scaleBar(about.side_um));
  const title = make("h3"), question = make("p", { class: "question" });
  const buttons = new Map(), choices = make("div", { class: "answers", role: "group", "aria-label": "Scores" });
  for (const { key, score, means, colour: back } of about.keys) {
    const button = make(
      "button",
      { type: "button", class: "answer", "aria-keyshortcuts": key, "data-score": score,
        style: `--back:${back};--on:${ink(back)}`, onclick: () => answer(score) },
      make("kbd", {}, key), make("span", { class: "what" }, make("b", {}, score), make("small", {}, means)));
    buttons.set(score, button);
    choices.append(button);
  }
  const verdict = make("p", { class: "verdict" }), reason = make("p", { class: "reason" });
  const shares = make("div", { class: "shares" });
  const told = make("div", { class: "told", role: "status", "aria-live": "polite" }, verdict, reason, shares);
  const next = make("button", { type: "button", class: "plain next", "aria-keyshortcuts": "Space Enter", onclick: onward }, make("kbd", {}, "space"), "Next field");
  const lines = make("button", { type: "button", class: "plain", "aria-keyshortcuts": "o", onclick: toggle }, make("kbd", {}, "o"), "Outlines");
  const back = make("button", { type: "button", class: "plain", "aria-label": "Field before", "aria-keyshortcuts": "ArrowLeft", onclick: () => go(place - 1) }, make("kbd", {}, "←"));
  const on = make("button", { type: "button", class: "plain", "aria-label": "Field after", "aria-keyshortcuts": "ArrowRight", onclick: () => go(place + 1) }, make("kbd", {}, "→"));
  const chart = draw("svg", { viewBox: "0 0 720 150", class: "chart", role: "img", "aria-label": "Running kappa" });
  const saved = make("p", { class: "saved", role: "status" });
  const hint = make("p", { class: "hint" }, "Click here, or press Tab until the frame lights up, then read with the keys.");
  const root = make(
    "section",
    { class: "her2kit-reading her2kit-trainer", tabindex: "0", role: "application",
      "aria-label": `Reader training of ${about.reader}: one key scores a field` },
    make("header", {}, make("p", { class: "who" }, make("span", {}, "reader training"), make("b", {}, about.reader)), bar, count),
    alarm,
    make("div", { class: "stage" }, figure,
      make("div", { class: "side" }, title, question, choices, told, make("div", { class: "tools" }, next, lines, back, on))),
    chart,
    make("footer", {}, saved, hint));
  window.addEventListener("keydown", pressed, true); // before JupyterLab, whose own 0 0 restarts the kernel
  root.addEventListener("click", (event) => {
    if (!event.target.closest("button")) root.focus({ preventScroll: true });
  });
  el.append(root);

  // What the reader does.
  function pressed(event) {
    if (!root.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "Tab" || (event.shiftKey && key === "Enter")) return;
    event.stopPropagation();
    const known = about.keys.find((k) => k.key === key);
    const onButton = event.target.closest("button") && (key === " " || key === "Enter");
    if (known) { if (!event.repeat) answer(known.score); }
    else if (onButton) return; // the button's own
    else if (key === " " || key === "Enter") { if (!event.repeat) onward(); }
    else if (key === "o") { if (!event.repeat) toggle(); }
    else if (key === "ArrowLeft") go(place - 1);
    else if (key === "ArrowRight") go(place + 1);
    else return;
    event.preventDefault();
  }

  function tell(message) { // a kernel that was restarted knows nothing of this page: sending then fails
    try { model.send(message); } catch { gone = true; }
  }

  function late() { return gone || (pending !== null && Date.now() - pending.since > PATIENCE_MS); }
  function open() { return ready && !gone && pending === null && answers[place] === null && pictures.has(place); }
  function first() { const k = answers.indexOf(null); return k < 0 ? n : k; } // no field beyond it is shown

  function answer(score) {
    if (!open()) return show();
    const id = `${run}-${++sent}`;
    pending = { id, place, score, since: Date.now() };
    refusal = null;
    tell({ kind: "answer", id, place, score });
    root.focus({ preventScroll: true }); // the button that was clicked is about to be disabled
    show();
  }

  function onward() {
    if (answers[place] !== null && first() < n) go(first());
    root.focus({ preventScroll: true });
  }

  function toggle() { outlines = !outlines; show(); }

  function go(to) {
    place = Math.max(0, Math.min(n - 1, first(), to));
    fetch();
    show();
  }

  function fetch() {
    for (const p of [place, Math.min(place + 1, n - 1)]) {
      if (!ready || asked.has(p)) continue;
      asked.add(p);
      tell({ kind: "picture", place: p });
    }
  }

  // What the kernel says.
  function heard(message, buffers) {
    const url = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    if (message.kind === "all") {
      message.answers.forEach((score, i) => { answers[i] = score; });
      kappas = message.kappas;
      if (!ready) { ready = true; asked.clear(); go(message.next ?? n - 1); }
    } else if (message.kind === "picture") {
      const kept = pictures.get(message.place);
      if (kept) URL.revokeObjectURL(kept);
      pictures.set(message.place, url(buffers[0]));
    } else if (message.kind === "truth") {
      answers[message.place] = message.answer;
      truths.set(message.place, { ...message, url: url(buffers[0]) });
      kappas = message.kappas;
      if (pending && message.id === pending.id) pending = null;
    } else if (message.kind === "refused") {
      if (pending && message.id === pending.id) pending = null;
      refusal = message.words;
    }
    show();
  }

  // What is seen.
  function show() {
    const done = answers.filter((a) => a !== null).length, given = answers[place], truth = truths.get(place);
    bar.firstChild.style.width = `${(100 * done) / n}%`;
    for (const [k, v] of Object.entries({ role: "progressbar", "aria-valuemin": 0, "aria-valuemax": n, "aria-valuenow": done, "aria-label": "Fields read" })) bar.setAttribute(k, v);
    count.textContent = `${done} of ${n} read`;
    alarm.hidden = !(late() || refusal);
    alarm.textContent = late()
      ? `${pending ? "The last answer is not saved: the" : "The"} kernel does not answer. What is shown as saved is safe. If the kernel died, restart it and run the notebook again; it goes on from the last saved field.`
      : refusal ? `Not saved: ${refusal}` : "";
    const shown = truth && outlines ? truth.url : pictures.get(place);
    figure.classList.toggle("waiting", !shown);
    if (!shown) image.removeAttribute("src");
    else if (image.getAttribute("src") !== shown) image.src = shown;
    image.alt = `Field ${place + 1}, ${about.side_um} µm wide`;
    title.textContent = `Field ${place + 1} of ${n}`;
    question.textContent = given === null ? "Which score would you give this field?" : truth && truth.near ? "A field near the 10 % line." : "Not near a line.";
    for (const [score, button] of buttons) {
      const mine = given === score || (pending && pending.place === place && pending.score === score);
      button.setAttribute("aria-pressed", mine ? "true" : "false");
      button.classList.toggle("right", Boolean(truth) && truth.truth === score);
      button.disabled = !open();
    }
    told.hidden = !truth;
    if (truth) tellWhy(truth);
    next.disabled = given === null || first() === n;
    lines.disabled = !truth;
    lines.setAttribute("aria-pressed", outlines ? "true" : "false");
    back.disabled = place === 0;
    on.disabled = place >= Math.min(first(), n - 1);
    saved.textContent = !ready ? "Waiting for the kernel …" : pending ? "Saving …"
      : done === n ? "All fields are read and saved. Run the next cell for your summary."
      : done ? `${done} ${done === 1 ? "answer" : "answers"} saved.` : "Nothing answered yet. Each answer is saved at once.";
    plot();
    for (const [k, v] of Object.entries({ place, done, ready: ready ? "yes" : "no", pending: pending ? "1" : "0", told: truth ? "yes" : "no", alarm: alarm.hidden ? "no" : "yes" })) root.dataset[k] = v;
  }

  function tellWhy(truth) {
    const right = truth.truth === truth.answer;
    verdict.className = `verdict ${right ? "yes" : "no"}`;
    verdict.replaceChildren(
      right ? "Right: " : `You said ${truth.answer}; planted: `,
      make("b", { class: "chip", style: `--back:${colour[truth.truth]};--on:${ink(colour[truth.truth])}` }, truth.truth));
    reason.textContent = truth.words;
    const width = (v) => `${Math.max(0.5, Math.min(100, v))}%`;
    shares.replaceChildren(
      ...truth.shares.map(([name, percent]) => make("div", { class: `share${percent > 10 ? " over" : ""}` },
        make("span", { class: "name" }, name),
        make("span", { class: "track" }, make("i", { style: `width:${width(percent)}` }), make("s", {})),
        make("span", { class: "value" }, `${percent.toFixed(1)} %`))),
      make("p", { class: "of" }, `of ${truth.cells} tumour cells planted in this field; the line is 10 %`));
  }

  function plot() { // kappa against truth after each answer, over the published ranges of readers
    const left = 34, right = 470, top = 8, bottom = 126;
    const x = (k) => left + ((right - left) * k) / Math.max(n, 1), y = (v) => bottom - (bottom - top) * Math.max(0, Math.min(1, v));
    const parts = [];
    for (const v of [0, 0.5, 1]) {
      parts.push(draw("line", { x1: left, x2: right, y1: y(v), y2: y(v), class: "grid" }));
      parts.push(draw("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, v === 0.5 ? "0.5" : String(v)));
    }
    for (const { who, low, high, kind } of about.published) {
      parts.push(draw("rect", { x: left, width: right - left, y: y(high) - 1.5, height: Math.max(3, y(low) - y(high)), class: "band" }));
      const range = low === high ? low.toFixed(2) : `${low.toFixed(2)}–${high.toFixed(2)}`;
      const label = draw("text", { x: right + 8, y: (y(low) + y(high)) / 2 - 2, class: "who" });
      label.append(draw("tspan", { x: right + 8 }, who.length > 42 ? `${who.slice(0, 41)}…` : who), draw("tspan", { x: right + 8, dy: 12 }, `kappa ${range} (${kind})`));
      parts.push(label);
    }
    const known = kappas.map((v, i) => [i + 1, v]).filter(([, v]) => v !== null);
    if (known.length) {
      parts.push(draw("polyline", { points: known.map(([k, v]) => `${x(k)},${y(v)}`).join(" "), class: "line" }));
      const [k, v] = known[known.length - 1];
      parts.push(draw("circle", { cx: x(k), cy: y(v), r: 4, class: "dot" }), draw("text", { x: Math.min(x(k) + 8, right - 30), y: y(v) + (v > 0.9 ? 14 : -7), class: "now" }, v.toFixed(2)));
    } else parts.push(draw("text", { x: left + 10, y: y(0.25), class: "empty" }, `your quadratic kappa against the truth, from ${about.first_kappa} answers on`));
    parts.push(draw("text", { x: (left + right) / 2, y: bottom + 18, "text-anchor": "middle" }, `answers, 0 to ${n}; published figures are other cases, weights and truths`));
    chart.replaceChildren(...parts);
    root.dataset.kappa = known.length ? known[known.length - 1][1] : "";
  }

  const clock = setInterval(() => { if (pending) show(); }, 500);
  const asking = setInterval(() => { if (!ready) tell({ kind: "ready" }); }, 2000);
  model.on("msg:custom", heard);
  show();
  tell({ kind: "ready" });
  return () => {
    window.removeEventListener("keydown", pressed, true);
    clearInterval(clock);
    clearInterval(asking);
    model.off("msg:custom", heard);
    for (const url of [...pictures.values(), ...[...truths.values()].map((t) => t.url)]) URL.revokeObjectURL(url);
  };
}

export default { render };
