/* What ran where and when: a row a lane, over them the number of nodes that ran at each moment. */

const AXIS = 22, AREA = 54, GAP = 10, NAME_WIDTH = 190, TALLEST = 620;

class Timeline {
  /* app: the model, its lanes and grouping, and `select(id)`. */
  constructor(app) {
    this.app = app;
    this.canvas = byId("timeline-canvas");
    this.context = this.canvas.getContext("2d");
    this.scroll = 0;
    this.selected = -1;
    this.makeRows();
    this.sorted = sortedSpans(app.model);
    this.from = app.model.start;
    this.to = app.model.end;
    this.measure();
    this.listen();
  }

  makeRows() {
    const { model, lanes } = this.app;
    this.rows = [];
    lanes.lanes.forEach((rows, worker) => rows.forEach((lane, i) => {
      this.rows.push({ spans: lane.spans, worker, isFirst: i === 0, lanes: rows.length });
    }));
    const used = this.rows.length || 1;
    this.rowHeight = Math.max(4, Math.min(22, Math.floor((TALLEST - AXIS - AREA - GAP) / used)));
    this.rowOf = new Map();
    let row = 0;
    lanes.lanes.forEach((rows, worker) => {
      this.rowOf.set(worker, row);
      row += rows.length;
    });
    this.height = Math.min(TALLEST, AXIS + AREA + GAP + used * this.rowHeight + 6);
    this.contentHeight = used * this.rowHeight;
  }

  /* Geometry */

  /* Read once a drawing: the browser lays the page out anew for each question. */
  measure() { this.width = this.canvas.clientWidth; }
  get nameWidth() { return this.width < 640 ? 90 : NAME_WIDTH; }
  get plotWidth() { return Math.max(10, this.width - this.nameWidth - 8); }
  x(time) { return this.nameWidth + ((time - this.from) / (this.to - this.from)) * this.plotWidth; }
  time(x) { return this.from + ((x - this.nameWidth) / this.plotWidth) * (this.to - this.from); }
  y(row) { return AXIS + AREA + GAP + row * this.rowHeight - this.scroll; }

  setRange(from, to) {
    const { start, end, makespan } = this.app.model;
    const width = Math.max(Math.min(to - from, makespan), Math.min(1, makespan));
    this.from = Math.max(start, Math.min(from, end - width));
    this.to = this.from + width;
    this.draw();
  }

  zoom(factor, at = (this.from + this.to) / 2) {
    this.setRange(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  pan(share) {
    const by = (this.to - this.from) * share;
    this.setRange(this.from + by, this.to + by);
  }

  fit() { this.setRange(this.app.model.start, this.app.model.end); }

  scrollBy(pixels) {
    const room = this.contentHeight - (this.height - AXIS - AREA - GAP - 6);
    this.scroll = Math.max(0, Math.min(room, this.scroll + pixels));
    this.draw();
  }

  /* Show a node, zoomed so that it can be seen. */
  reveal(id) {
    const span = this.app.model.spanOf[id];
    this.selected = id;
    if (span >= 0) {
      const start = this.app.model.spanStart[span], took = Math.max(this.app.model.spanTook[span], 1);
      const isVisible = start >= this.from && start + took <= this.to && took / (this.to - this.from) > 0.004;
      if (!isVisible) this.setRange(start - 8 * took, start + 9 * took);
    }
    this.draw();
  }

  /* Drawing */

  draw() {
    const scale = window.devicePixelRatio || 1;
    const { canvas, context } = this;
    canvas.style.height = `${this.height}px`;
    this.measure();
    canvas.width = this.width * scale;
    canvas.height = this.height * scale;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    this.colours = readColours();
    context.clearRect(0, 0, this.width, this.height);
    this.drawInRows((row, y) => this.drawBand(row, y));
    this.drawAxis();
    this.drawInRows((row, y) => this.drawSpans(row, y));
    this.drawNames();
    this.drawArea();
    byId("range").textContent = `${formatTime(this.to - this.from)} shown, from ${formatTime(this.from - this.app.model.start)}`;
  }

  /* Below the axis and the area only, whatever is scrolled up. */
  drawInRows(drawRow) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(0, AXIS + AREA + GAP, this.width, this.height);
    context.clip();
    this.rows.forEach((row, index) => {
      const y = this.y(index);
      if (y < this.height && y + this.rowHeight > AXIS + AREA) drawRow(row, y);
    });
    context.restore();
  }

  drawBand(row, y) {
    if (row.worker % 2) return;
    this.context.fillStyle = this.colours.band;
    this.context.fillRect(this.nameWidth, y, this.plotWidth, this.rowHeight);
  }

  drawSpans(row, top) {
    const gap = this.rowHeight > 8 ? 1 : 0; // above and below
    const y = top + gap;
    const height = this.rowHeight - 2 * gap - (this.rowHeight > 4 && !gap ? 1 : 0);
    const { model, grouping, matches } = this.app;
    const { context } = this;
    const spans = row.spans;
    const first = Math.max(0, firstWith(spans.length, (i) => model.spanStart[spans[i]] > this.from) - 1);
    let drawnTo = -1;
    let seenTo = -1;
    for (let i = first; i < spans.length; i++) {
      const span = spans[i];
      const start = this.x(model.spanStart[span]);
      if (start > this.nameWidth + this.plotWidth) break;
      const end = this.x(model.spanStart[span] + model.spanTook[span]);
      const isBad = model.spanEnd[span] === SPAN_FAILED || model.spanEnd[span] === SPAN_RETRIED;
      const id = model.spanNode[span];
      const isDim = matches && !matches[model.label[id]];
      // Whole pixels: what falls on one that is drawn already cannot be seen. Failures must be, and
      // what matches the filter.
      const left = Math.max(Math.floor(start), this.nameWidth);
      const right = Math.max(left + 1, Math.min(Math.round(end), this.nameWidth + this.plotWidth));
      const mustBeSeen = isBad || (matches && !isDim) || id === this.selected;
      if (end < this.nameWidth || (right <= drawnTo && !mustBeSeen) || (mustBeSeen && right <= seenTo)) continue;
      const group = grouping.groups[grouping.of[id]];
      context.globalAlpha = isDim ? 0.12 : model.spanEnd[span] === SPAN_OPEN ? 0.45 : 1;
      context.fillStyle = isBad ? this.colours.bad : this.colours.groups[group?.rank] ?? this.colours.other;
      // A hairline between neighbours, where there is room for one.
      const width = right - left;
      context.fillRect(left, y, width > 3 ? width - 1 : width, height);
      context.globalAlpha = 1;
      if (id === this.selected) this.drawSelection(left, y, width, height);
      if (width > 60 && height > 10 && !isDim) this.drawLabel(model.nodeLabel(id), left, y, width, height);
      drawnTo = Math.max(drawnTo, right);
      if (mustBeSeen) seenTo = right;
    }
  }

  drawSelection(left, y, width, height) {
    this.context.lineWidth = 2;
    this.context.strokeStyle = this.colours.ink;
    this.context.strokeRect(left, y, Math.max(width, 3), height);
  }

  drawLabel(text, left, y, width, height) {
    const { context } = this;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = "#fff";
    context.textBaseline = "middle";
    context.textAlign = "left";
    const shown = fitText(context, text, width - 10);
    if (shown) context.fillText(shown, left + 5, y + height / 2 + 0.5);
  }

  drawNames() {
    const { context, rowHeight } = this;
    context.font = "11.5px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    let lastY = -Infinity;
    this.rows.forEach((row, index) => {
      if (!row.isFirst) return;
      const y = this.y(index) + (Math.min(row.lanes * rowHeight, 22)) / 2;
      if (y - lastY < 13 || y < AXIS + AREA + GAP || y > this.height) return;
      lastY = y;
      context.fillStyle = this.colours.soft;
      const name = this.app.model.workers[row.worker];
      context.fillText(fitText(context, row.lanes > 1 ? `${name} × ${row.lanes}` : name, this.nameWidth - 14), 2, y);
    });
  }

  drawAxis() {
    const { context } = this;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    context.lineWidth = 1;
    const step = niceStep((this.to - this.from) / Math.max(2, this.plotWidth / 110));
    const origin = this.app.model.start;
    for (let time = Math.ceil((this.from - origin) / step) * step; time <= this.to - origin; time += step) {
      const x = Math.round(this.x(time + origin)) + 0.5;
      context.strokeStyle = this.colours.line;
      context.beginPath();
      context.moveTo(x, AXIS);
      context.lineTo(x, this.height);
      context.stroke();
      context.fillStyle = this.colours.soft;
      context.textAlign = x > this.width - 60 ? "right" : "left";
      context.fillText(formatTick(time, step, this.to - origin), x + (x > this.width - 60 ? -3 : 3), 4);
    }
  }

  /* How many nodes ran, by pixel. */
  drawArea() {
    const { context } = this;
    const counts = this.countByPixel();
    const most = Math.max(1, ...counts);
    const base = AXIS + AREA;
    context.fillStyle = this.colours.accent;
    context.globalAlpha = 0.28;
    context.beginPath();
    context.moveTo(this.nameWidth, base);
    counts.forEach((count, i) => context.lineTo(this.nameWidth + i, base - (count / most) * (AREA - 8)));
    context.lineTo(this.nameWidth + counts.length, base);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = this.colours.line;
    context.beginPath();
    context.moveTo(this.nameWidth, base + 0.5);
    context.lineTo(this.nameWidth + this.plotWidth, base + 0.5);
    context.stroke();
    context.fillStyle = this.colours.soft;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText("running at once", 2, AXIS + AREA / 2 - 6);
    context.fillText(`up to ${trim(Math.max(most, 0.01))}`, 2, AXIS + AREA / 2 + 9);
  }

  countByPixel() {
    const { model } = this.app;
    const pixels = Math.floor(this.plotWidth);
    const counts = new Float64Array(pixels);
    const scale = pixels / (this.to - this.from);
    const changes = new Float64Array(pixels + 1); // of whole pixels, summed up at the end
    for (let span = 0; span < model.spanCount; span++) {
      const start = Math.max(0, (model.spanStart[span] - this.from) * scale);
      const end = Math.min(pixels, (model.spanStart[span] + model.spanTook[span] - this.from) * scale);
      if (!(end > start)) continue;
      const first = Math.floor(start), last = Math.min(pixels - 1, Math.floor(end));
      if (first === last) {
        counts[first] += end - start;
      } else {
        counts[first] += first + 1 - start;
        counts[last] += end - last;
        changes[first + 1]++;
        changes[last]--;
      }
    }
    let running = 0;
    for (let i = 0; i < pixels; i++) {
      running += changes[i];
      counts[i] += running;
    }
    return counts;
  }

  /* Hands on it */

  listen() {
    const { canvas } = this;
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, y: event.clientY, from: this.from, scroll: this.scroll, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return this.showTip(event);
      const by = event.clientX - drag.x;
      if (Math.abs(by) + Math.abs(event.clientY - drag.y) > 3) drag.moved = true;
      if (!drag.moved) return undefined;
      const width = this.to - this.from;
      const from = drag.from - (by / this.plotWidth) * width;
      this.setRange(from, from + width);
      this.scroll = drag.scroll;
      return this.scrollBy(drag.y - event.clientY);
    });
    canvas.addEventListener("pointerup", (event) => {
      const wasClick = drag && !drag.moved;
      drag = null;
      if (wasClick) {
        const span = this.spanAt(event.offsetX, event.offsetY);
        if (span >= 0) this.app.select(this.app.model.spanNode[span]);
      }
    });
    canvas.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
    canvas.addEventListener("dblclick", (event) => this.zoom(0.4, this.time(event.offsetX)));
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    for (const button of document.querySelectorAll("[data-timeline]")) {
      button.addEventListener("click", () => this.command(button.dataset.timeline));
    }
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  command(name) {
    if (name === "in") this.zoom(0.5);
    else if (name === "out") this.zoom(2);
    else this.fit();
  }

  onWheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY / 240), this.time(event.offsetX));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.pan((event.deltaX || event.deltaY) / this.plotWidth);
    }
  }

  onKey(event) {
    const act = {
      ArrowLeft: () => this.pan(-0.15), ArrowRight: () => this.pan(0.15),
      ArrowUp: () => this.scrollBy(-40), ArrowDown: () => this.scrollBy(40),
      "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6),
      0: () => this.fit(), Home: () => this.fit(), Enter: () => this.selectMiddle(),
    }[event.key];
    if (act && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      act();
    }
  }

  /* For who has no pointer: the node nearest to the middle of what is shown. */
  selectMiddle() {
    const { model } = this.app;
    const middle = (this.from + this.to) / 2;
    let best = -1;
    let least = Infinity;
    for (let span = 0; span < model.spanCount; span++) {
      const distance = Math.abs(model.spanStart[span] + model.spanTook[span] / 2 - middle);
      if (distance < least) {
        least = distance;
        best = model.spanNode[span];
      }
    }
    if (best >= 0) this.app.select(best);
  }

  spanAt(x, y) {
    const { model } = this.app;
    const row = this.rows[Math.floor((y - AXIS - AREA - GAP + this.scroll) / this.rowHeight)];
    if (!row || x < this.nameWidth || y < AXIS + AREA + GAP) return -1;
    const time = this.time(x);
    const reach = (2 / this.plotWidth) * (this.to - this.from);
    let i = firstWith(row.spans.length, (k) => model.spanStart[row.spans[k]] > time) - 1;
    for (const k of [i, i + 1]) {
      const span = row.spans[k];
      if (span === undefined) continue;
      const start = model.spanStart[span];
      if (time >= start - reach && time <= start + model.spanTook[span] + reach) return span;
    }
    return -1;
  }

  showTip(event) {
    const tip = byId("tip");
    const span = this.spanAt(event.offsetX, event.offsetY);
    tip.hidden = span < 0;
    this.canvas.style.cursor = span < 0 ? "grab" : "pointer";
    if (span < 0) return;
    const { model } = this.app;
    const took = formatTime(model.spanTook[span]);
    const how = { [SPAN_FAILED]: "failed after", [SPAN_RETRIED]: "failed, to be tried again, after", [SPAN_OPEN]: "running for" }[model.spanEnd[span]] ?? "took";
    tip.replaceChildren(
      el("strong", {}, model.nodeLabel(model.spanNode[span])),
      el("span", {}, `${how} ${took}, from ${formatTime(model.spanStart[span] - model.start)}`),
      el("span", {}, model.workers[model.spanWorker[span]]),
    );
    const left = Math.min(event.offsetX + 14, this.width - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${event.offsetY + 16}px`;
  }
}

/* Steps of the axis: 1, 2 or 5 times a power of ten. */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  return [1, 2, 5, 10].map((k) => k * power).find((step) => step >= rough) ?? power;
}

/* A tick's time, all ticks in one unit, with as many digits as tell them apart. */
function formatTick(time, step, largest) {
  const [unit, name] = [[1e6, "s"], [1e3, "ms"], [1, "µs"]].find(([size]) => largest >= size) ?? [1, "µs"];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  return `${(time / unit).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${name}`;
}

function fitText(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = firstWith(text.length, (n) => context.measureText(`${text.slice(0, n)}…`).width > width);
  length = Math.max(0, length - 1);
  return length ? `${text.slice(0, length)}…` : "";
}
