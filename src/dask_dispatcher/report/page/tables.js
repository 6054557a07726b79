/* Tables, lists and sentences. */

const FIRST_ROWS = 20;
const MOST_ROWS = 1000;
const MOST_FAILURES = 100;

/* A table whose columns sort by a click on their heads.

   columns: [{head, value(row), show(row), isNumber}]. The first rows are shown, more on demand. */
function sortedTable(columns, rows, { sortBy = 0, isAscending = false, onRow, caption } = {}) {
  const body = el("tbody");
  const heads = columns.map((column, i) => el("th", { scope: "col", class: column.isNumber ? "number" : "" },
    el("button", { type: "button", onclick: () => sort(i, order.by === i ? -order.way : column.isNumber ? -1 : 1) }, column.head)));
  const order = { by: sortBy, way: -1 };
  const more = el("button", { type: "button", class: "more-rows", onclick: () => {
    limit = MOST_ROWS;
    sort(order.by, order.way);
  } });
  let limit = FIRST_ROWS;

  function sort(by, way) {
    Object.assign(order, { by, way });
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === by ? (way > 0 ? "ascending" : "descending") : "none"));
    const value = columns[by].value;
    const sorted = [...rows].sort((a, b) => way * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
    body.replaceChildren(...sorted.slice(0, limit).map((row) => {
      const line = el("tr", {}, ...columns.map((column) => {
        const shown = column.show(row);
        const cell = el("td", { class: column.isNumber ? "number" : "" }, column.isLink && onRow
          ? el("button", { type: "button", class: "link", onclick: () => onRow(row) }, shown) : shown);
        return cell;
      }));
      return line;
    }));
    more.hidden = sorted.length <= limit || limit === MOST_ROWS;
    more.textContent = sorted.length <= MOST_ROWS ? `Show all ${formatNumber(sorted.length)}` : `Show the first ${formatNumber(MOST_ROWS)} of ${formatNumber(sorted.length)}`;
  }

  sort(sortBy, columns[sortBy].isNumber && !isAscending ? -1 : 1);
  const table = el("table", {}, el("caption", { class: "hidden" }, caption ?? ""), el("thead", {}, el("tr", {}, ...heads)), body);
  return el("div", { class: "table" }, table, more);
}

const swatch = (rank) => {
  const mark = el("span", { class: "swatch" });
  mark.style.background = groupColour(rank);
  return mark;
};

function labelsTable(app) {
  const { grouping, summary } = app;
  const rows = grouping.ranked.filter((group) => group.nodes > group.given && (!app.matches || app.groupMatches(group)));
  const number = (head, value, show = formatNumber) => ({ head, value, show: (row) => show(value(row)), isNumber: true });
  return sortedTable([
    { head: grouping.kind === "label" ? "Label" : "Function", value: (g) => g.name, isLink: true,
      show: (g) => el("span", { class: "named" }, swatch(g.rank), g.name) },
    number("Nodes", (g) => g.nodes - g.given),
    number("Failed", (g) => g.failed, (n) => (n ? el("strong", { class: "bad" }, formatNumber(n)) : "–")),
    number("Tried again", (g) => g.retried, (n) => (n ? formatNumber(n) : "–")),
    number("Time in all", (g) => g.work, formatTime),
    number("Mean", (g) => g.work / Math.max(1, g.nodes - g.given - g.skipped), formatTime),
    number("Longest", (g) => g.longest, formatTime),
    { head: "Share", value: (g) => g.work, isNumber: true, show: (g) => shareBar(summary.work ? g.work / summary.work : 0, groupColour(g.rank)) },
  ], rows, { sortBy: 4, onRow: (group) => app.filterBy(group.name), caption: "Time by label" });
}

function slowestTable(app) {
  const { model } = app;
  const spans = Array.from({ length: model.spanCount }, (_, span) => span)
    .filter((span) => !app.matches || app.matches[model.label[model.spanNode[span]]])
    .sort((a, b) => model.spanTook[b] - model.spanTook[a]).slice(0, 20);
  return sortedTable([
    nodeColumn(app, (span) => model.spanNode[span]),
    { head: "Took", value: (span) => model.spanTook[span], show: (span) => formatTime(model.spanTook[span]), isNumber: true },
    { head: "From", value: (span) => model.spanStart[span], show: (span) => formatTime(model.spanStart[span] - model.start), isNumber: true },
    { head: "Worker", value: (span) => model.workers[model.spanWorker[span]], show: (span) => model.workers[model.spanWorker[span]] },
  ], spans, { sortBy: 1, onRow: (span) => app.select(model.spanNode[span]), caption: "Slowest nodes" });
}

function nodeColumn(app, idOf) {
  const { model, grouping } = app;
  return {
    head: "Node", isLink: true, value: (row) => model.nodeLabel(idOf(row)),
    show: (row) => el("span", { class: "named" }, swatch(grouping.groups[grouping.of[idOf(row)]]?.rank ?? 99), model.nodeLabel(idOf(row))),
  };
}

function pathTable(app) {
  const { model, bounded } = app;
  return sortedTable([
    { head: "Step", value: (row) => row.position, show: (row) => formatNumber(row.position), isNumber: true },
    nodeColumn(app, (row) => row.id),
    { head: "Waited before", value: (row) => row.wait, isNumber: true,
      show: (row) => (row.wait >= 1 ? `${formatTime(row.wait)} ${row.isQueueing ? "for a worker" : ""}` : "–") },
    { head: "Took", value: (row) => model.spanTook[model.spanOf[row.id]], show: (row) => formatTime(model.spanTook[model.spanOf[row.id]]), isNumber: true },
    { head: "Worker", value: (row) => model.workers[model.spanWorker[model.spanOf[row.id]]], show: (row) => model.workers[model.spanWorker[model.spanOf[row.id]]] },
  ], bounded.steps.map((step, i) => ({ ...step, position: i + 1 })), { sortBy: 0, isAscending: true, onRow: (row) => app.select(row.id), caption: "What the run waited for" });
}

/* What bounded the makespan, as a sentence. */
function verdict(app) {
  const { model, summary, critical, bounded } = app;
  if (!model.spanCount) return "Nothing has run yet.";
  const { computing, queueing, overhead } = bounded;
  const all = Math.max(1, computing + queueing + overhead);
  const took = formatTime(model.makespan);
  const chain = `the longest chain of dependencies alone takes ${formatTime(critical.length)}`;
  if (computing / all > 0.6) {
    return `${took}, bounded by its critical path: ${chain}. More workers would change little; make its slowest steps faster or split them.`;
  }
  if (queueing / all >= 0.35 && queueing >= overhead) {
    return `${took}, bounded by the number of workers: for ${formatShare(queueing / all)} of the time, what it hung on was ready and waited for a free worker. More workers would help.`;
  }
  return `${took}, of which ${formatShare(overhead / all)} went into neither computing nor waiting for a worker: scheduling, moving data, or the program itself between steps. ${capital(chain)}.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function boundBar(app) {
  const { computing, queueing, overhead } = app.bounded;
  const all = Math.max(1, computing + queueing + overhead);
  const parts = [["Computing", computing, "var(--good)"], ["Waiting for a worker", queueing, "var(--warn)"], ["Scheduling, data, program", overhead, "var(--other)"]];
  const bar = el("div", { class: "stack", role: "img", "aria-label": parts.map(([name, time]) => `${name} ${formatShare(time / all)}`).join(", ") });
  const legend = el("ul", { class: "keys" });
  for (const [name, time, colour] of parts) {
    const part = el("span");
    part.style.width = `${(100 * time) / all}%`;
    part.style.background = colour;
    bar.append(part);
    const mark = el("span", { class: "swatch" });
    mark.style.background = colour;
    legend.append(el("li", {}, mark, `${name} ${formatTime(time)}`));
  }
  return [el("p", { class: "hint" }, "What the last node to end had waited for, step by step back to the start"), bar, legend];
}

function tiles(app) {
  const { model, summary } = app;
  const counts = STATE_NAMES.map(() => 0);
  model.state.forEach((state, id) => { if (model.isKnown[id]) counts[state]++; });
  const retried = model.notes.filter((note) => note.what === "retried").length;
  const lost = model.notes.filter((note) => note.what === "lost");
  const lostWorkers = new Set(lost.map((note) => note.worker)).size;
  const nodes = counts[DONE] + counts[FAILED] + counts[SKIPPED] + counts[RUNNING];
  const all = Math.max(nodes, model.runs.reduce((sum, run) => sum + (run.begins !== undefined ? run.nodes : 0), 0));
  const entries = [
    ["Took", formatTime(model.makespan), app.isOver ? "from start to end" : "so far"],
    ["Nodes", formatNumber(all), counts[RUNNING] ? `${formatNumber(counts[RUNNING])} running` : `${formatNumber(counts[DONE])} done`],
    ["Failed", formatNumber(counts[FAILED]), `${formatNumber(counts[SKIPPED])} not run for it`, counts[FAILED] ? "bad" : ""],
    ["Tried again", formatNumber(retried), `${plural(lost.length, "loss", "losses")}, ${plural(lostWorkers, "worker")} lost`, lost.length ? "warn" : ""],
    ["Busy", formatShare(summary.utilisation), `${plural(summary.workers.filter((w) => w.spans).length, "worker")}, ${plural(summary.slots, "slot")}`],
    ["Work", formatTime(summary.work), "time in nodes, summed up"],
    ["Data moved", !model.isMoveKnown ? "\u2013" : summary.moved ? formatBytes(summary.moved) : "none", model.isMoveKnown ? "between workers, for inputs" : "not measured here"],
  ];
  return entries.map(([name, value, more, tone]) => el("div", { class: `tile ${tone ?? ""}` }, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "more" }, more)));
}

function workersTable(app) {
  const { model, summary } = app;
  const lost = new Set(model.notes.filter((note) => note.what === "lost").map((note) => note.worker));
  const rows = summary.workers.map((worker, index) => ({ ...worker, index })).filter((worker) => worker.spans || lost.has(worker.index));
  return sortedTable([
    { head: "Worker", value: (w) => w.name, show: (w) => el("span", {}, w.name, lost.has(w.index) ? el("strong", { class: "bad" }, " lost") : null) },
    { head: "Nodes", value: (w) => w.spans, show: (w) => formatNumber(w.spans), isNumber: true },
    { head: "At once", value: (w) => w.slots, show: (w) => formatNumber(w.slots), isNumber: true },
    { head: "Time in nodes", value: (w) => w.busy, show: (w) => formatTime(w.busy), isNumber: true },
    { head: "Data moved to it", value: (w) => w.moved, show: (w) => (w.moved ? formatBytes(w.moved) : "–"), isNumber: true },
    { head: "Busy", value: (w) => w.busy / (w.slots || 1), isNumber: true, show: (w) => shareBar(w.slots ? w.busy / (w.slots * model.makespan) : 0) },
  ], rows, { sortBy: 3, caption: "Workers" });
}

function failuresList(app) {
  const { model } = app;
  const failures = model.notes.filter((note) => note.what === "failed");
  if (!failures.length) return [el("p", { class: "empty" }, "No node failed.")];
  const cards = failures.slice(0, MOST_FAILURES).map((note, i) => failureCard(app, note, i < 3));
  if (failures.length > MOST_FAILURES) cards.push(el("p", { class: "hint" }, `The first ${MOST_FAILURES} of ${formatNumber(failures.length)}.`));
  return cards;
}

function failureCard(app, note, isOpen) {
  const { model } = app;
  const facts = [
    ["Error", el("span", {}, el("strong", {}, note.type), note.message ? `: ${note.message}` : "")],
    ["Built at", siteText(model, note.id)],
    ["Worker", `${model.workers[note.worker] ?? "not known"}${note.attempt > 1 ? `, attempt ${note.attempt}` : ""}`],
    ["Arguments", note.arguments?.length ? el("span", {}, ...note.arguments.map((text) => el("code", { class: "line" }, text))) : "none"],
  ];
  return el("article", { class: "failure" },
    el("h3", {}, el("button", { type: "button", class: "link", onclick: () => app.select(note.id) }, model.nodeLabel(note.id))),
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    note.traceback ? el("details", { open: isOpen }, el("summary", {}, "Traceback"), el("pre", { tabindex: 0 }, note.traceback)) : null);
}

function siteText(model, id) {
  const site = model.sites[model.site[id]];
  if (!site) return "not known";
  const [file, line, name, source] = site;
  return el("span", {}, el("code", {}, `${file}:${line}`), ` in ${name}`, source ? el("code", { class: "line source" }, source) : null);
}

function incidentsTable(app) {
  const { model } = app;
  const rows = model.notes.filter((note) => note.what !== "failed");
  if (!rows.length) return el("p", { class: "empty" }, "Every attempt was the only one, and no worker was lost.");
  return sortedTable([
    { head: "When", value: (note) => note.at, show: (note) => formatTime(note.at - model.start), isNumber: true },
    { head: "What", value: (note) => note.what, show: (note) => (note.what === "lost" ? "lost with its worker" : `attempt ${note.attempt} failed`) },
    nodeColumn(app, (note) => note.id),
    { head: "Why", value: (note) => note.type ?? "", show: (note) => (note.type ? `${note.type}: ${note.message}` : "the worker is gone") },
    { head: "Worker", value: (note) => model.workers[note.worker] ?? "", show: (note) => model.workers[note.worker] ?? "not known" },
  ], rows, { sortBy: 0, isAscending: true, onRow: (note) => app.select(note.id), caption: "Retries and losses" });
}

/* How long the same nodes would take on other numbers of workers. */
function predictionBars(app) {
  const { model, summary } = app;
  const schedule = new ListSchedule(model);
  if (!schedule.order.length) return [el("p", { class: "empty" }, "Nothing has finished yet.")];
  const counts = [1, 2, 4, 8, 16, 32, 64, 128];
  if (!counts.includes(summary.slots)) counts.push(summary.slots);
  counts.sort((a, b) => a - b);
  const found = counts.map((count) => ({ count, time: schedule.makespan(count) }));
  const enough = found.findIndex(({ time }) => time <= app.critical.length * 1.01);
  const shown = enough < 0 ? found : found.slice(0, Math.max(enough + 1, found.findIndex(({ count }) => count === summary.slots) + 1));
  const longest = Math.max(model.makespan, ...shown.map(({ time }) => time));
  const bar = (name, time, kind) => {
    const fill = el("span", { class: `fill ${kind}` });
    fill.style.width = `${Math.max(0.4, (100 * time) / longest)}%`;
    return el("div", { class: "prediction" }, el("span", { class: "name" }, name), el("span", { class: "track" }, fill), el("span", { class: "value" }, formatTime(time)));
  };
  return [
    bar("measured", model.makespan, "measured"),
    ...shown.map(({ count, time }) => bar(count === summary.slots ? `${count} (as it was)` : plural(count, "slot"), time, count === summary.slots ? "same" : "")),
    bar("critical path", app.critical.length, "floor"),
  ];
}

function detailsOf(app, id) {
  const { model } = app;
  const span = model.spanOf[id];
  const needs = [], users = [];
  model.eachNeed(id, (need) => needs.push(need));
  model.eachUser(id, (user) => users.push(user));
  const links = (ids) => {
    if (!ids.length) return "nothing";
    const shown = ids.slice(0, 12).map((other) => el("button", { type: "button", class: "link", onclick: () => app.select(other) }, model.nodeLabel(other)));
    const box = el("span", { class: "links" }, ...shown);
    if (ids.length > 12) box.append(`and ${formatNumber(ids.length - 12)} more`);
    return box;
  };
  const facts = [["State", STATE_NAMES[model.state[id]]], ["Function", model.functions[model.function[id]]]];
  if (span >= 0) {
    const attempts = model.spanAttempt[span];
    facts.push(["Took", `${formatTime(model.spanTook[span])}, from ${formatTime(model.spanStart[span] - model.start)}${attempts > 1 ? `, attempt ${attempts}` : ""}`]);
    facts.push(["Worker", model.workers[model.spanWorker[span]]]);
    if (model.spanMoved[span]) facts.push(["Data moved", formatBytes(model.spanMoved[span])]);
  }
  facts.push(["Built at", siteText(model, id)], ["Needs", links(needs)], ["Needed by", links(users)]);
  return [
    el("div", { class: "bar" }, el("h3", {}, model.nodeLabel(id)),
      el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => app.unselect() }, "×")),
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  ];
}
