/* The data blocks of the page, put together: columns of numbers, by node and by span.

   A block that cannot be read is the last one of a program that crashed while writing; what came
   before it is whole. */

const WAITING = 0, RUNNING = 1, DONE = 2, FAILED = 3, SKIPPED = 4, GIVEN = 5;
const STATE_NAMES = ["waiting", "running", "done", "failed", "not run", "given"];
const SPAN_FINISHED = 0, SPAN_FAILED = 1, SPAN_RETRIED = 2, SPAN_OPEN = 3;

function readBlocks(root) {
  const blocks = [];
  let isCut = false;
  for (const element of root.querySelectorAll('script[type="application/json"]')) {
    try {
      blocks.push(JSON.parse(element.textContent));
    } catch {
      isCut = true;
    }
  }
  return { blocks, isCut };
}

class Model {
  constructor(blocks) {
    for (const name of ["labels", "functions", "workers", "sites", "notes", "runs"]) {
      this[name] = blocks.flatMap((block) => block[name] ?? []);
    }
    this.readNodes(blocks.flatMap((block) => block.nodes ?? []));
    this.readSpans(blocks);
    this.readStates(blocks);
    this.linkDependents();
  }

  readNodes(parts) {
    let size = 0;
    let edges = 0;
    for (const part of parts) {
      for (const id of part.id) size = Math.max(size, id + 1);
      edges += part.needed.length;
    }
    this.size = size;
    this.isKnown = new Uint8Array(size);
    this.label = new Int32Array(size).fill(-1);
    this.function = new Int32Array(size).fill(-1);
    this.site = new Int32Array(size).fill(-1);
    this.needsFrom = new Int32Array(size);
    this.needsTo = new Int32Array(size);
    this.needed = new Int32Array(edges);
    let at = 0;
    for (const part of parts) {
      let from = 0;
      part.id.forEach((id, i) => {
        this.isKnown[id] = 1;
        this.label[id] = part.label[i];
        this.function[id] = part.function[i];
        this.site[id] = part.site[i];
        this.needsFrom[id] = at;
        for (let k = 0; k < part.needs[i]; k++) this.needed[at++] = part.needed[from++];
        this.needsTo[id] = at;
      });
    }
  }

  readSpans(blocks) {
    const parts = blocks.flatMap((block) => block.spans ?? []);
    const open = this.openAttempts(blocks, parts);
    const count = parts.reduce((sum, part) => sum + part.id.length, 0);
    const total = count + open.length;
    const column = (Type, name) => {
      const all = new Type(total);
      let at = 0;
      for (const part of parts) {
        all.set(part[name], at);
        at += part.id.length;
      }
      return all;
    };
    this.spanCount = total;
    this.spanNode = column(Int32Array, "id");
    this.spanWorker = column(Int32Array, "worker");
    this.spanStart = column(Float64Array, "start");
    this.spanTook = column(Float64Array, "took");
    this.spanAttempt = column(Int32Array, "attempt");
    this.spanEnd = column(Uint8Array, "end");
    this.spanMoved = column(Float64Array, "moved");
    this.isMoveKnown = this.spanMoved.some((bytes) => bytes >= 0);
    this.spanMoved.forEach((bytes, span) => {
      if (bytes < 0) this.spanMoved[span] = 0;
    });
    this.measureTime();
    open.forEach(([id, worker, start, attempt], i) => {
      const span = count + i;
      this.spanNode[span] = id;
      this.spanWorker[span] = worker;
      this.spanStart[span] = start;
      this.spanTook[span] = Math.max(0, this.end - start);
      this.spanAttempt[span] = attempt;
      this.spanEnd[span] = SPAN_OPEN;
    });
    // Failures and late messages may name no worker: a row of its own, not a guess.
    if (this.spanWorker.includes(-1)) {
      const unknown = this.workers.push("worker not known") - 1;
      this.spanWorker.forEach((worker, span) => {
        if (worker < 0) this.spanWorker[span] = unknown;
      });
    }
  }

  /* What had begun and not ended when the last block was written. */
  openAttempts(blocks, parts) {
    if (this.isOver()) return [];
    const open = new Map();
    const lastAttempt = new Map();
    for (const part of parts) {
      part.id.forEach((id, i) => {
        lastAttempt.set(id, Math.max(part.attempt[i], lastAttempt.get(id) ?? 0));
      });
    }
    for (const attempt of blocks.flatMap((block) => block.open ?? [])) {
      if (!((lastAttempt.get(attempt[0]) ?? 0) >= attempt[3])) open.set(attempt[0], attempt);
    }
    return [...open.values()];
  }

  isOver() {
    const begun = this.runs.filter((run) => "begins" in run).length;
    return begun > 0 && this.runs.length === 2 * begun;
  }

  measureTime() {
    let end = 0;
    let start = Infinity;
    for (const run of this.runs) end = Math.max(end, run.at);
    for (let span = 0; span < this.spanCount; span++) {
      end = Math.max(end, this.spanStart[span] + this.spanTook[span]);
      start = Math.min(start, this.spanStart[span]);
    }
    this.start = Math.min(0, start);
    this.end = Math.max(end, 1);
    this.makespan = this.end - this.start;
  }

  readStates(blocks) {
    this.state = new Uint8Array(this.size);
    this.spanOf = new Int32Array(this.size).fill(-1);
    const STATE_OF_SPAN = [DONE, FAILED, WAITING, RUNNING];
    for (let span = 0; span < this.spanCount; span++) {
      const id = this.spanNode[span];
      this.state[id] = STATE_OF_SPAN[this.spanEnd[span]];
      this.spanOf[id] = span;
    }
    for (const ends of blocks.flatMap((block) => block.ends ?? [])) {
      for (const id of ends.id) if (this.state[id] !== FAILED) this.state[id] = SKIPPED;
    }
    if (this.isOver()) {
      this.state.forEach((state, id) => {
        if (state === WAITING && this.isKnown[id]) this.state[id] = GIVEN;
      });
    }
  }

  linkDependents() {
    const from = new Int32Array(this.size + 1);
    for (let id = 0; id < this.size; id++) this.eachNeed(id, (need) => from[need + 1]++);
    for (let id = 0; id < this.size; id++) from[id + 1] += from[id];
    const next = from.slice();
    this.users = new Int32Array(from[this.size]);
    for (let id = 0; id < this.size; id++) {
      this.eachNeed(id, (need) => {
        this.users[next[need]++] = id;
      });
    }
    this.usersFrom = from;
  }

  eachNeed(id, visit) {
    for (let at = this.needsFrom[id]; at < this.needsTo[id]; at++) {
      if (this.needed[at] < this.size) visit(this.needed[at]);
    }
  }

  eachUser(id, visit) {
    for (let at = this.usersFrom[id]; at < this.usersFrom[id + 1]; at++) visit(this.users[at]);
  }

  nodeLabel(id) {
    return this.labels[this.label[id]] ?? `node ${id}`;
  }

  /* Labels are good groups unless nearly each node has one of its own. */
  usualGrouping() {
    let counted = 0;
    const seen = new Set();
    for (let id = 0; id < this.size; id++) {
      if (this.isKnown[id] && this.state[id] !== GIVEN) {
        counted++;
        seen.add(this.label[id]);
      }
    }
    return seen.size <= 24 || counted / seen.size >= 8 ? "label" : "function";
  }

  group(kind) {
    const of = kind === "label" ? this.label : this.function;
    const names = kind === "label" ? this.labels : this.functions;
    const groups = names.map((name, index) => ({
      index, name, nodes: 0, done: 0, failed: 0, running: 0, skipped: 0, given: 0,
      retried: 0, work: 0, longest: 0, moved: 0,
    }));
    for (let id = 0; id < this.size; id++) {
      const group = groups[of[id]];
      if (!group) continue;
      group.nodes++;
      const key = ["", "running", "done", "failed", "skipped", "given"][this.state[id]];
      if (key) group[key]++;
    }
    for (let span = 0; span < this.spanCount; span++) {
      const group = groups[of[this.spanNode[span]]];
      if (!group) continue;
      group.work += this.spanTook[span];
      group.longest = Math.max(group.longest, this.spanTook[span]);
      group.moved += this.spanMoved[span];
      if (this.spanEnd[span] === SPAN_RETRIED) group.retried++;
    }
    const ranked = groups.filter((group) => group.nodes).sort((a, b) => b.work - a.work || b.nodes - a.nodes);
    ranked.forEach((group, rank) => {
      group.rank = rank;
    });
    return { kind, of, groups, ranked };
  }
}
