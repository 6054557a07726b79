/* The page: reads the data once it is all there, and draws. */

class App {
  constructor(model, isCut) {
    this.model = model;
    this.isOver = model.isOver();
    this.isCut = isCut;
    this.matches = null; // by label: whether it matches the filter; null: no filter
    this.lanes = assignLanes(model);
    this.summary = summarise(model, this.lanes);
    this.critical = criticalPath(model);
    this.bounded = whatBounded(model, this.lanes);
    this.grouping = model.group(model.usualGrouping());
  }

  start() {
    this.showHead();
    byId("verdict").textContent = verdict(this);
    byId("bound").replaceChildren(...boundBar(this));
    byId("tiles").replaceChildren(...tiles(this));
    this.timeline = new Timeline(this);
    this.graph = new GraphView(this);
    byId("grouping").value = this.grouping.kind;
    this.drawGrouped();
    this.graph.fit();
    this.showPath();
    byId("failures-list").replaceChildren(...failuresList(this));
    byId("incidents-table").replaceChildren(incidentsTable(this));
    byId("workers-table").replaceChildren(workersTable(this));
    this.countNotes();
    this.listen();
    // The page can be seen and used before this, which takes longest.
    setTimeout(() => this.predict());
  }

  showHead() {
    const { model } = this;
    const failed = model.notes.filter((note) => note.what === "failed").length;
    const status = byId("status");
    const begun = model.runs.find((run) => run.begins !== undefined);
    const isQuiet = begun === undefined;
    status.textContent = isQuiet ? "not started" : !this.isOver ? "unfinished" : failed ? `${formatNumber(failed)} failed` : "all done";
    status.classList.add(isQuiet || !this.isOver ? "warn" : failed ? "bad" : "good");
    const executors = [...new Set(model.runs.map((run) => run.executor).filter(Boolean))];
    const when = begun ? new Date(begun.begins * 1000).toLocaleString("en", { dateStyle: "long", timeStyle: "medium" }) : "";
    const runs = model.runs.filter((run) => run.begins !== undefined).length;
    byId("subtitle").textContent = [when, executors.join(", "), runs > 1 ? plural(runs, "run") : ""].filter(Boolean).join(" · ") || "No run has begun.";
    const notes = [];
    if (this.isCut) notes.push("The last lines of this file are incomplete: the program ended while it wrote them.");
    if (!isQuiet && !this.isOver) notes.push("The run was not over when this file was last written: it still goes on, or its program crashed. Reload to see more.");
    byId("notice").hidden = !notes.length;
    byId("notice").textContent = notes.join(" ");
  }

  showPath() {
    const { critical, bounded, model } = this;
    byId("path-text").textContent = `The longest chain has ${plural(critical.path.length, "node")} and takes ${formatTime(critical.length)}, ${formatShare(critical.length / model.makespan)} of the whole. Below, what really held the end up: from the last node to end back to the first, each with what it waited for.`;
    byId("path-table").replaceChildren(pathTable(this));
  }

  predict() {
    byId("prediction-text").textContent = "The same nodes with the times they took, each begun as soon as a slot (what runs one node at a time) is free and its inputs are there, those first on which most work hangs. Without scheduling and moving data, and as if slots did not slow each other down.";
    byId("prediction-bars").replaceChildren(...predictionBars(this));
    document.documentElement.dataset.ready = "yes";
  }

  countNotes() {
    const { notes } = this.model;
    const failed = notes.filter((note) => note.what === "failed").length;
    byId("failure-count").textContent = failed || "";
    byId("incident-count").textContent = notes.length - failed || "";
  }

  drawGrouped() {
    this.drawLegend();
    this.timeline.draw();
    this.graph.opened.clear();
    this.graph.draw();
    this.drawTables();
  }

  drawTables() {
    byId("labels-table").replaceChildren(labelsTable(this));
    byId("slowest-table").replaceChildren(slowestTable(this));
  }

  drawLegend() {
    const ran = this.grouping.ranked.filter((group) => group.work > 0 || group.done);
    const items = ran.slice(0, PALETTE_SIZE).map((group) => el("li", {},
      el("button", { type: "button", onclick: () => this.filterBy(group.name) }, swatch(group.rank), group.name)));
    if (ran.length > PALETTE_SIZE) items.push(el("li", {}, swatch(PALETTE_SIZE), `${plural(ran.length - PALETTE_SIZE, "other")}`));
    if (this.model.notes.some((note) => note.what !== "lost")) {
      const mark = el("span", { class: "swatch" });
      mark.style.background = "var(--bad)";
      items.push(el("li", {}, mark, "failed attempt"));
    }
    byId("legend").replaceChildren(...items);
  }

  /* Filtering and selecting */

  filterBy(text) {
    const filter = byId("filter");
    filter.value = filter.value === text ? "" : text;
    this.applyFilter();
  }

  applyFilter() {
    const wanted = byId("filter").value.trim().toLowerCase();
    const { model } = this;
    this.matches = null;
    if (wanted) {
      // A function's name stands for all its nodes, whatever they are labelled.
      this.matches = Uint8Array.from(model.labels, (label) => label.toLowerCase().includes(wanted));
      const functions = model.functions.map((name) => name.toLowerCase().includes(wanted));
      for (let id = 0; id < model.size; id++) if (functions[model.function[id]]) this.matches[model.label[id]] = 1;
    }
    this.timeline.draw();
    this.drawTables();
  }

  groupMatches(group) {
    const { model, grouping } = this;
    if (grouping.kind === "label") return this.matches[group.index];
    for (let id = 0; id < model.size; id++) {
      if (grouping.of[id] === group.index && this.matches[model.label[id]]) return true;
    }
    return false;
  }

  select(id) {
    const details = byId("details");
    details.replaceChildren(...detailsOf(this, id));
    details.hidden = false;
    this.timeline.reveal(id);
    if (details.getBoundingClientRect().top > window.innerHeight || details.getBoundingClientRect().bottom < 0) {
      byId("timeline").scrollIntoView();
    }
    details.focus({ preventScroll: true });
  }

  unselect() {
    byId("details").hidden = true;
    this.timeline.selected = -1;
    this.timeline.draw();
    this.timeline.canvas.focus({ preventScroll: true });
  }

  listen() {
    byId("filter").addEventListener("input", () => this.applyFilter());
    byId("grouping").addEventListener("change", (event) => {
      this.grouping = this.model.group(event.target.value);
      this.drawGrouped();
      this.graph.fit();
    });
    document.addEventListener("keydown", (event) => {
      const isTyping = event.target.matches("input, select, textarea");
      if (event.key === "/" && !isTyping) {
        event.preventDefault();
        byId("filter").focus();
      } else if (event.key === "Escape") {
        if (isTyping && byId("filter").value) this.filterBy(byId("filter").value);
        else if (!byId("details").hidden) this.unselect();
      }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.timeline.draw());
  }
}

let app;

document.addEventListener("DOMContentLoaded", () => {
  setTheme("auto");
  byId("theme").addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(byId("theme").value) + 1) % THEMES.length]);
    app.timeline.draw();
  });
  const { blocks, isCut } = readBlocks(document);
  app = new App(new Model(blocks), isCut);
  app.start();
});
