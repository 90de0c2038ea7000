/* The viewer of her2kit's slide report: pan, zoom, cells by class, measurements on hover. No library, no network.
   Reads what report/viewer_data.py packs. Coordinates are level-0 pixels; `view.scale` is CSS pixels per level-0 px. */
(() => {
  "use strict";
  const root = document.getElementById("viewer");
  const packed = JSON.parse(document.getElementById("viewer-data").textContent);
  const stage = root.querySelector(".stage");
  const canvas = stage.querySelector("canvas");
  const tip = stage.querySelector(".tip");
  const ctx = canvas.getContext("2d", { alpha: false });
  const overview = document.getElementById("overview-picture");
  const micron = packed.mpp ? 1 / packed.mpp : null; // level-0 px per um
  const cellRadius = micron ? 7 * micron : 28;
  const show = { classes: packed.classes.map(() => true), outlines: true, nuclei: false, uncounted: false, fields: true, tissue: true };

  // ---- unpack
  const bytes = (text) => {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  };
  const floats = (t) => new Float32Array(bytes(t).buffer);
  const words = (t) => new Uint16Array(bytes(t).buffer);
  const outlinesOf = (p) => {
    const lengths = words(p.lengths), start = new Uint32Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) start[i + 1] = start[i] + lengths[i];
    return { start, steps: floats(p.steps), points: new Int8Array(bytes(p.points).buffer) };
  };
  let cells = null;
  if (packed.cells && packed.cells.n) {
    const c = packed.cells;
    cells = {
      n: c.n, x: floats(c.x), y: floats(c.y), cellClass: bytes(c.cellClass), counted: bytes(c.counted),
      type: bytes(c.cellType), reason: bytes(c.reason), intensity: bytes(c.intensity), compartment: bytes(c.compartment),
      words: c.words, outline: outlinesOf(c.outline), nucleus: outlinesOf(c.nucleus),
      measurements: c.measurements.map((m) => ({ ...m, values: words(m.values) })),
    };
  }
  const size = packed.fieldSize;
  const detail = (packed.detail || []).map((d) => {
    const [column, row] = packed.fields[d.field];
    return { ...d, x: column * size, y: row * size, image: null };
  });
  const inDetail = new Set(detail.map((d) => d.field));
  const path = (lists) => {
    const p = new Path2D();
    for (const r of lists) {
      p.moveTo(r[0], r[1]);
      for (let i = 2; i < r.length; i += 2) p.lineTo(r[i], r[i + 1]);
      p.closePath();
    }
    return p;
  };
  const tissue = path(packed.tissue), tumour = path(packed.tumour);

  // ---- view
  const view = { x: 0, y: 0, scale: 1 };
  let width = 0, height = 0, ratio = 1, asked = false, hovered = -1, printing = false;
  const fitScale = () => 0.96 * Math.min(width / packed.width, height / packed.height);
  const maxScale = () => (micron ? 24 / micron : 8); // 24 CSS px per um
  const fit = () => {
    view.scale = fitScale();
    view.x = packed.width / 2 - width / 2 / view.scale;
    view.y = packed.height / 2 - height / 2 / view.scale;
    ask();
  };
  const keepInside = () => {
    const w = width / view.scale, h = height / view.scale, edge = 0.5;
    view.x = Math.min(Math.max(view.x, -w * edge), packed.width - w * (1 - edge));
    view.y = Math.min(Math.max(view.y, -h * edge), packed.height - h * (1 - edge));
  };
  const zoomAt = (factor, px, py) => {
    const scale = Math.min(Math.max(view.scale * factor, fitScale() * 0.6), maxScale());
    view.x += px / view.scale - px / scale;
    view.y += py / view.scale - py / scale;
    view.scale = scale;
    keepInside();
    ask();
  };
  const lookAt = (x, y, spanPx0) => {
    view.scale = Math.min(Math.min(width, height) / spanPx0, maxScale());
    view.x = x - width / 2 / view.scale;
    view.y = y - height / 2 / view.scale;
    ask();
  };
  const ask = () => {
    if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; draw(); }); }
  };

  // ---- draw
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const sees = (d) => d.x < view.x + width / view.scale && d.y < view.y + height / view.scale &&
    d.x + size > view.x && d.y + size > view.y;
  const visible = (i) => show.classes[cells.cellClass[i]] && (show.uncounted || cells.counted[i]);
  const trace = (p, outlines, i) => {
    const a = outlines.start[i], b = outlines.start[i + 1];
    if (a === b) return false;
    const k = outlines.steps[i], ox = cells.x[i], oy = cells.y[i], q = outlines.points;
    p.moveTo(ox + k * q[2 * a], oy + k * q[2 * a + 1]);
    for (let j = a + 1; j < b; j++) p.lineTo(ox + k * q[2 * j], oy + k * q[2 * j + 1]);
    p.closePath();
    return true;
  };
  const world = () => ctx.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, -ratio * view.scale * view.x, -ratio * view.scale * view.y);
  const screen = () => ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  const snapped = (x, y, w, h) => { // whole device pixels, so that neighbours meet without a seam
    const f = (v) => Math.round(v * ratio) / ratio;
    const x0 = f((x - view.x) * view.scale), y0 = f((y - view.y) * view.scale);
    return [x0, y0, f((x + w - view.x) * view.scale) - x0, f((y + h - view.y) * view.scale) - y0];
  };

  function draw() {
    screen();
    ctx.fillStyle = printing ? "#ffffff" : dark.matches ? "#1b1d21" : "#e9ebee";
    ctx.fillRect(0, 0, width, height);
    ctx.imageSmoothingEnabled = true;
    ctx.imageSmoothingQuality = "high";
    if (overview.complete && overview.naturalWidth)
      ctx.drawImage(overview, ...snapped(0, 0, overview.naturalWidth * packed.overviewPx0, overview.naturalHeight * packed.overviewPx0));
    const magnified = view.scale * packed.overviewPx0 > 0.75;
    if (magnified) for (const d of detail) {
      if (!d.picture || !sees(d)) continue;
      if (!d.image) { d.image = new Image(); d.image.onload = ask; d.image.src = d.picture; }
      if (d.image.complete && d.image.naturalWidth) ctx.drawImage(d.image, ...snapped(d.x, d.y, size, size));
    }
    world();
    if (show.tissue) {
      ctx.lineWidth = 1.4 / view.scale; ctx.strokeStyle = "rgba(40,46,56,.75)"; ctx.stroke(tissue);
      ctx.lineWidth = 4 / view.scale; ctx.strokeStyle = "rgba(255,255,255,.8)"; ctx.stroke(tumour);
      ctx.lineWidth = 2 / view.scale; ctx.strokeStyle = "#5b2a86"; ctx.stroke(tumour);
    }
    if (show.fields) drawFields();
    if (cells && show.outlines) drawCells();
    screen();
    drawScaleBar();
  }

  const hscore = (f) => { const n = f[2] + f[3] + f[4] + f[5]; return n ? (100 * (f[3] + 2 * f[4] + 3 * f[5])) / n : null; };
  function drawFields() {
    const side = size * view.scale;
    screen();
    packed.fields.forEach((f, index) => {
      if (inDetail.has(index) && show.outlines) return;
      const x = f[0] * size, y = f[1] * size;
      if (!sees({ x, y })) return;
      const total = f[2] + f[3] + f[4] + f[5];
      if (!total) return;
      const [px, py, w, h] = snapped(x, y, size, size);
      if (side < 26) { // one tone: the class that the mean comes to
        const tone = packed.classes[Math.round(hscore(f) / 100)].colour;
        ctx.globalAlpha = 0.6; ctx.fillStyle = tone; ctx.fillRect(px, py, w, h); ctx.globalAlpha = 1;
        return;
      }
      const bar = Math.min(12, Math.max(5, side * 0.1)), left = px + 0.12 * w, span = 0.76 * w, top = py + h / 2 - bar / 2;
      ctx.fillStyle = "rgba(255,255,255,.85)"; ctx.fillRect(left - 2, top - 2, span + 4, bar + 4);
      let at = left;
      for (let k = 0; k < 4; k++) {
        const part = (span * f[2 + k]) / total;
        ctx.fillStyle = packed.classes[k].colour; ctx.fillRect(at, top, part, bar); at += part;
      }
      ctx.strokeStyle = "rgba(40,46,56,.25)"; ctx.lineWidth = 1; ctx.strokeRect(px + 0.5, py + 0.5, w - 1, h - 1);
    });
    if (detail.length < packed.fields.length && size * view.scale > 6) {
      ctx.strokeStyle = "rgba(20,24,31,.85)"; ctx.lineWidth = 1.2;
      for (const d of detail) if (sees(d)) { const [a, b, c, e] = snapped(d.x, d.y, size, size); ctx.strokeRect(a + 0.5, b + 0.5, c - 1, e - 1); }
    }
    world();
  }

  function drawCells() {
    const r = cellRadius * view.scale, near = r > 4.5;
    const paths = packed.classes.map(() => new Path2D()), faint = packed.classes.map(() => new Path2D());
    const nuclei = new Path2D();
    const dots = packed.classes.map(() => []);
    for (const d of detail) {
      if (!sees({ x: d.x, y: d.y })) continue;
      for (let i = d.start; i < d.end; i++) {
        if (!visible(i)) continue;
        const k = cells.cellClass[i];
        if (!near) { dots[k].push(i); continue; }
        if (!trace(cells.counted[i] ? paths[k] : faint[k], cells.outline, i)) dots[k].push(i);
        if (show.nuclei && r > 7) trace(nuclei, cells.nucleus, i);
      }
    }
    const line = Math.min(2.2, Math.max(1, r / 10));
    ctx.lineJoin = "round";
    packed.classes.forEach((c, k) => {
      ctx.lineWidth = (line + 1.3) / view.scale; ctx.strokeStyle = "rgba(20,24,31,.5)"; ctx.stroke(paths[k]);
      ctx.lineWidth = line / view.scale; ctx.strokeStyle = c.colour; ctx.stroke(paths[k]);
      ctx.setLineDash([3 / view.scale, 3 / view.scale]); ctx.stroke(faint[k]); ctx.setLineDash([]);
      const dot = Math.max(1.5, Math.min(5, 1.1 * r)) / view.scale;
      ctx.fillStyle = c.colour;
      for (const i of dots[k]) ctx.fillRect(cells.x[i] - dot / 2, cells.y[i] - dot / 2, dot, dot);
    });
    ctx.lineWidth = 1 / view.scale; ctx.strokeStyle = "rgba(255,255,255,.9)"; ctx.stroke(nuclei);
    if (hovered >= 0) {
      const p = new Path2D(), q = new Path2D();
      trace(p, cells.outline, hovered); trace(q, cells.nucleus, hovered);
      ctx.lineWidth = 5 / view.scale; ctx.strokeStyle = "#14181f"; ctx.stroke(p);
      ctx.lineWidth = 3 / view.scale; ctx.strokeStyle = packed.classes[cells.cellClass[hovered]].colour; ctx.stroke(p);
      ctx.lineWidth = 1.2 / view.scale; ctx.strokeStyle = "#fff"; ctx.stroke(q);
    }
  }

  function drawScaleBar() {
    if (!micron) return;
    const perUm = view.scale * micron, wanted = 130 / perUm, power = 10 ** Math.floor(Math.log10(wanted));
    const um = [5, 2, 1].map((k) => k * power).find((v) => v <= wanted), w = um * perUm;
    const x = 16, y = height - 18, label = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
    ctx.font = "600 12px system-ui, sans-serif";
    ctx.fillStyle = "rgba(255,255,255,.88)"; ctx.fillRect(x - 8, y - 20, Math.max(w, ctx.measureText(label).width) + 16, 30);
    ctx.fillStyle = "#14181f"; ctx.fillRect(x, y, w, 3); ctx.fillText(label, x, y - 5);
  }

  // ---- hover
  const inside = (i, x, y) => {
    const o = cells.outline, a = o.start[i], b = o.start[i + 1], k = o.steps[i], q = o.points;
    let odd = false;
    for (let j = a, p = b - 1; j < b; p = j++) {
      const xj = cells.x[i] + k * q[2 * j], yj = cells.y[i] + k * q[2 * j + 1], xp = cells.x[i] + k * q[2 * p], yp = cells.y[i] + k * q[2 * p + 1];
      if (yj > y !== yp > y && x < ((xp - xj) * (y - yj)) / (yp - yj) + xj) odd = !odd;
    }
    return odd;
  };
  const cellAt = (x, y) => {
    let best = -1, least = Infinity;
    const reach = 3 * cellRadius;
    for (const d of detail) {
      if (x < d.x - reach || y < d.y - reach || x > d.x + size + reach || y > d.y + size + reach) continue;
      for (let i = d.start; i < d.end; i++) {
        const dx = cells.x[i] - x, dy = cells.y[i] - y, far = dx * dx + dy * dy;
        if (far < least && far < reach * reach && visible(i) && inside(i, x, y)) { best = i; least = far; }
      }
    }
    return best;
  };
  const element = (tag, text, parent, className) => {
    const e = document.createElement(tag);
    if (text !== null) e.textContent = text;
    if (className) e.className = className;
    parent.append(e);
    return e;
  };
  const row = (table, name, value) => { const r = element("tr", null, table); element("th", name, r).scope = "row"; element("td", value, r); };
  const word = (kind, at) => (at === 255 ? null : cells.words[kind][at]);
  function fillTip(px, py) {
    const x = view.x + px / view.scale, y = view.y + py / view.scale;
    const before = hovered;
    hovered = cells && show.outlines && cellRadius * view.scale > 2 ? cellAt(x, y) : -1;
    if (hovered !== before) ask();
    tip.replaceChildren();
    if (hovered >= 0) {
      const i = hovered, c = packed.classes[cells.cellClass[i]], head = element("div", null, tip, "tip-head");
      element("span", null, head, "swatch").style.background = c.colour;
      element("strong", c.name, head);
      const type = word(0, cells.type[i]), where = word(3, cells.compartment[i]), why = word(1, cells.reason[i]), how = word(2, cells.intensity[i]);
      const kind = !type || type === "unknown" ? "cell" : type === "tumour" ? packed.tumourWord : type;
      element("span", [kind, where && where !== "unknown" ? where : null].filter(Boolean).join(", "), head);
      const table = element("table", null, tip);
      if (why) row(table, "not evaluable", why);
      if (how) row(table, "intensity", how);
      for (const m of cells.measurements) {
        const v = m.values[i];
        if (v !== 65535) row(table, m.label, `${(m.low + v * m.step).toFixed(m.digits)}${m.unit ? " " + m.unit : ""}`);
      }
      if (!cells.counted[i]) element("p", "not counted in the score", tip);
    } else {
      const column = Math.floor(x / size), line = Math.floor(y / size);
      const f = show.fields && size ? packed.fields.findIndex((v) => v[0] === column && v[1] === line) : -1;
      if (f < 0 || (inDetail.has(f) && show.outlines)) { tip.hidden = true; return; }
      const v = packed.fields[f], n = v[2] + v[3] + v[4] + v[5];
      if (!n) { tip.hidden = true; return; }
      const head = element("div", null, tip, "tip-head");
      element("strong", `${n.toLocaleString("en")} counted cells`, head);
      const table = element("table", null, tip);
      packed.classes.slice(0, 4).forEach((c, k) => row(table, c.name, `${((100 * v[2 + k]) / n).toFixed(1)} %`));
      row(table, "H-score", hscore(v).toFixed(0));
    }
    tip.hidden = false;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = `${px + 18 + w > width ? Math.max(4, px - w - 14) : px + 18}px`;
    tip.style.top = `${Math.min(Math.max(4, py - 20), Math.max(4, height - h - 4))}px`;
  }
  const hideTip = () => { tip.hidden = true; if (hovered >= 0) { hovered = -1; ask(); } };

  // ---- input
  const pointers = new Map();
  const place = (e) => { const b = canvas.getBoundingClientRect(); return [e.clientX - b.left, e.clientY - b.top]; };
  canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); pointers.set(e.pointerId, place(e)); canvas.classList.add("drag"); canvas.focus({ preventScroll: true }); });
  canvas.addEventListener("pointermove", (e) => {
    const now = place(e), last = pointers.get(e.pointerId);
    if (!last) { fillTip(...now); return; }
    hideTip();
    if (pointers.size === 2) {
      const other = [...pointers].find(([id]) => id !== e.pointerId)[1];
      const before = Math.hypot(last[0] - other[0], last[1] - other[1]), after = Math.hypot(now[0] - other[0], now[1] - other[1]);
      if (before > 0) zoomAt(after / before, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    }
    view.x -= (now[0] - last[0]) / view.scale / pointers.size;
    view.y -= (now[1] - last[1]) / view.scale / pointers.size;
    pointers.set(e.pointerId, now);
    keepInside();
    ask();
  });
  const lift = (e) => { pointers.delete(e.pointerId); if (!pointers.size) canvas.classList.remove("drag"); };
  canvas.addEventListener("pointerup", (e) => { const [x, y] = place(e); lift(e); if (e.pointerType === "touch") fillTip(x, y); });
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (e) => {
    if (document.activeElement !== canvas && !e.ctrlKey) return; // the page scrolls until the picture is clicked
    e.preventDefault();
    zoomAt(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0018)), ...place(e));
    hideTip();
  }, { passive: false });
  canvas.addEventListener("dblclick", (e) => zoomAt(2, ...place(e)));
  canvas.addEventListener("keydown", (e) => {
    const step = 60 / view.scale, keys = {
      ArrowLeft: () => (view.x -= step), ArrowRight: () => (view.x += step), ArrowUp: () => (view.y -= step), ArrowDown: () => (view.y += step),
      "+": () => zoomAt(1.4, width / 2, height / 2), "=": () => zoomAt(1.4, width / 2, height / 2), "-": () => zoomAt(1 / 1.4, width / 2, height / 2),
      0: fit, Escape: () => canvas.blur(),
    };
    if (!keys[e.key] || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    keys[e.key]();
    keepInside();
    ask();
  });
  root.querySelector("[data-zoom=in]").onclick = () => zoomAt(1.6, width / 2, height / 2);
  root.querySelector("[data-zoom=out]").onclick = () => zoomAt(1 / 1.6, width / 2, height / 2);
  root.querySelector("[data-zoom=fit]").onclick = fit;
  for (const box of root.querySelectorAll("input[data-show]")) {
    const set = () => { show[box.dataset.show] = box.checked; ask(); };
    box.onchange = set; set();
  }
  for (const box of root.querySelectorAll("input[data-class]")) {
    const set = () => { show.classes[Number(box.dataset.class)] = box.checked; ask(); };
    box.onchange = set; set();
  }
  const visit = (x, y, span) => { lookAt(x, y, span); hovered = cells ? cellAt(x, y) : -1; root.scrollIntoView({ block: "start", behavior: "smooth" }); };
  for (const button of document.querySelectorAll("[data-look]")) {
    const [x, y, span] = button.dataset.look.split(",").map(Number);
    button.onclick = () => (button.closest("#viewer") ? lookAt(x, y, span) : visit(x, y, span));
  }

  // ---- start
  const resize = () => {
    const first = !width, b = stage.getBoundingClientRect(), centre = [view.x + width / 2 / view.scale, view.y + height / 2 / view.scale];
    ratio = window.devicePixelRatio || 1;
    width = b.width; height = b.height;
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
    if (first) fit(); else { view.x = centre[0] - width / 2 / view.scale; view.y = centre[1] - height / 2 / view.scale; }
    draw();
  };
  new ResizeObserver(resize).observe(stage);
  dark.addEventListener("change", ask);
  addEventListener("beforeprint", () => { printing = true; hideTip(); draw(); });
  addEventListener("afterprint", () => { printing = false; ask(); });
  if (!overview.complete) overview.addEventListener("load", ask);
  resize();
  root.dataset.ready = "yes";
})();
