/* The graph: one box a label, which opens into its nodes; or, if it is small, every node. */

const SMALL_GRAPH = 60; // nodes drawn one by one without being asked
const MOST_OPENED = 120; // nodes of one label that can be shown at once
const MOST_BOXES = 600;

class GraphView {
  constructor(app) {
    this.app = app;
    this.frame = byId("graph-frame");
    this.opened = new Set();
    this.scale = 1;
    this.depth = depthsOf(app.model);
    const drawn = app.model.isKnown.reduce((sum, known) => sum + known, 0);
    byId("collapse").checked = drawn > SMALL_GRAPH;
    byId("collapse").disabled = drawn > MOST_BOXES;
    byId("collapse").addEventListener("change", () => {
      this.opened.clear();
      this.draw();
      this.fit();
    });
    for (const button of document.querySelectorAll("[data-graph]")) {
      button.addEventListener("click", () => this.command(button.dataset.graph));
    }
  }

  command(name) {
    if (name === "fit") this.fit();
    else this.setScale(this.scale * (name === "in" ? 1.3 : 1 / 1.3));
  }

  draw() {
    const { boxes, boxOf } = this.makeBoxes();
    const edges = this.makeEdges(boxOf);
    this.size = layOut(boxes, edges.map(({ from, to }) => [from, to]));
    const { width, height } = this.size;
    this.picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Graph of the run" });
    this.picture.append(svg("g", { class: "edges" }, ...edges.map((edge) => this.drawEdge(boxes, edge))));
    this.picture.append(svg("g", {}, ...boxes.map((box) => this.drawBox(box))));
    this.frame.replaceChildren(this.picture);
    byId("graph-size").textContent = `${plural(boxes.length, "box", "boxes")}, ${plural(edges.length, "line")}`;
    this.setScale(this.scale);
  }

  setScale(scale) {
    this.scale = Math.max(0.1, Math.min(3, scale));
    this.picture.style.width = `${this.size.width * this.scale}px`;
    this.picture.style.height = `${this.size.height * this.scale}px`;
  }

  fit() {
    const room = this.frame.clientWidth - 2;
    this.setScale(Math.min(1, Math.max(room / this.size.width, 0.35), 560 / this.size.height < 0.35 ? 1 : 560 / this.size.height));
  }

  makeBoxes() {
    const { model, grouping } = this.app;
    const boxes = [];
    const boxOf = new Int32Array(model.size).fill(-1);
    const boxOfGroup = new Map();
    const isCollapsed = byId("collapse").checked;
    for (let id = 0; id < model.size; id++) {
      if (!model.isKnown[id]) continue;
      const group = grouping.groups[grouping.of[id]];
      const isAlone = !isCollapsed || this.opened.has(group.index) || group.nodes === 1;
      if (isAlone) {
        boxOf[id] = boxes.push({ id, group, depth: this.depth[id], width: 150, height: 30 }) - 1;
      } else {
        if (!boxOfGroup.has(group)) {
          boxOfGroup.set(group, boxes.push({ group, depth: 0, members: 0, width: 190, height: 58 }) - 1);
        }
        const box = boxes[(boxOf[id] = boxOfGroup.get(group))];
        box.members++;
        box.depth += this.depth[id];
      }
    }
    // By its members' mean depth: two labels may well need each other.
    for (const box of boxes) if (box.members) box.depth /= box.members;
    if (boxOfGroup.size) this.spreadDepths(boxes);
    return { boxes, boxOf };
  }

  /* Columns in the order of the mean depths, equal ones together. */
  spreadDepths(boxes) {
    const means = [...new Set(boxes.map((box) => Math.round(box.depth * 4)))].sort((a, b) => a - b);
    const rank = new Map(means.map((mean, i) => [mean, i]));
    for (const box of boxes) box.depth = rank.get(Math.round(box.depth * 4));
  }

  makeEdges(boxOf) {
    const { model } = this.app;
    const edges = new Map();
    for (let id = 0; id < model.size; id++) {
      model.eachNeed(id, (need) => {
        const from = boxOf[need], to = boxOf[id];
        if (from < 0 || to < 0 || from === to) return;
        const key = from * 1e6 + to;
        const edge = edges.get(key);
        if (edge) edge.count++;
        else edges.set(key, { from, to, count: 1 });
      });
    }
    return [...edges.values()];
  }

  drawEdge(boxes, { from, to, count }) {
    const a = boxes[from], b = boxes[to];
    const x1 = a.x + a.width, y1 = a.y + a.height / 2, x2 = b.x, y2 = b.y + b.height / 2;
    const bend = Math.max(24, (x2 - x1) / 2);
    const path = svg("path", {
      d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`,
      "stroke-width": 1 + Math.min(5, Math.log10(count) * 1.4),
      class: x2 < x1 ? "back" : "",
    });
    path.append(svg("title", {}, `${boxName(this.app.model, a)} → ${boxName(this.app.model, b)}: ${plural(count, "dependency", "dependencies")}`));
    return path;
  }

  drawBox(box) {
    const { model } = this.app;
    const isGroup = box.members !== undefined;
    const state = isGroup ? "" : STATE_NAMES[model.state[box.id]].replace(" ", "-");
    const group = svg("g", { transform: `translate(${box.x} ${box.y})`, class: `box ${state}`, tabindex: 0, role: "button" });
    const name = boxName(model, box);
    group.append(svg("title", {}, name), svg("rect", { width: box.width, height: box.height, rx: 6 }));
    const stripe = svg("rect", { width: 5, height: box.height, rx: 2 });
    stripe.style.fill = state === "failed" ? "var(--bad)" : groupColour(box.group.rank);
    group.append(stripe, svg("text", { x: 14, y: isGroup ? 20 : 19 }, cutMiddle(name, isGroup ? 24 : 19)));
    if (isGroup) {
      group.append(svg("text", { x: 14, y: 37, class: "small" }, `${plural(box.members, "node")}, ${formatTime(box.group.work)}`));
      group.append(...this.drawStates(box));
    }
    const act = () => (isGroup ? this.open(box.group) : this.app.select(box.id));
    group.addEventListener("click", act);
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        act();
      }
    });
    return group;
  }

  /* Below a label's name: how much of it is done, running, failed, not run. */
  drawStates(box) {
    const width = box.width - 28;
    const parts = [["done", "--good"], ["given", "--other"], ["running", "--accent"], ["failed", "--bad"], ["skipped", "--warn"]];
    let x = 14;
    const track = svg("rect", { x, y: 45, width, height: 5, rx: 2, class: "track" });
    return [track, ...parts.filter(([key]) => box.group[key]).map(([key, colour]) => {
      const part = svg("rect", { x, y: 45, width: Math.max(1.5, (width * box.group[key]) / box.group.nodes), height: 5, rx: 2 });
      part.style.fill = `var(${colour})`;
      x += (width * box.group[key]) / box.group.nodes;
      return part;
    })];
  }

  open(group) {
    if (group.nodes > MOST_OPENED) {
      this.app.filterBy(group.name);
      return;
    }
    this.opened.add(group.index);
    this.draw();
  }
}

function boxName(model, box) {
  return box.members === undefined ? model.nodeLabel(box.id) : box.group.name;
}

function cutMiddle(text, length) {
  if (text.length <= length) return text;
  const half = Math.floor((length - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
