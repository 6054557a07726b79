/* What the recorded times say: who was busy, what everybody waited for, what more workers would do.
   Pure functions of a `Model`; times in microseconds. */

const MOST_LANES = 64; // drawn for one worker; a thousand coroutines share the last one

/* Give each span a lane of its worker, so that no two of a lane overlap. */
function assignLanes(model) {
  const order = sortedSpans(model);
  const lanes = model.workers.map(() => []);
  const laneOf = new Int32Array(model.spanCount);
  for (const span of order) {
    const ends = lanes[model.spanWorker[span]];
    const start = model.spanStart[span];
    let lane = 0;
    while (lane < ends.length && ends[lane].until > start) lane++;
    // A failure is told of a little late, so it may seem to overlap what its worker did next.
    const isEndExact = model.spanEnd[span] === SPAN_FINISHED || model.spanEnd[span] === SPAN_OPEN;
    if (lane === ends.length && lane > 0 && !isEndExact) lane = earliestFree(ends);
    if (lane >= MOST_LANES) lane = MOST_LANES - 1;
    if (lane === ends.length) ends.push({ until: 0, spans: [], busy: [0] });
    const chosen = ends[lane];
    if (isEndExact) chosen.until = Math.max(chosen.until, start + model.spanTook[span]);
    chosen.spans.push(span);
    chosen.busy.push(chosen.busy[chosen.busy.length - 1] + model.spanTook[span]);
    laneOf[span] = lane;
  }
  return { lanes, laneOf };
}

function earliestFree(lanes) {
  return lanes.reduce((best, lane, i) => (lane.until < lanes[best].until ? i : best), 0);
}

function sortedSpans(model) {
  const order = Int32Array.from({ length: model.spanCount }, (_, span) => span);
  return order.sort((a, b) => model.spanStart[a] - model.spanStart[b] || a - b);
}

function summarise(model, lanes) {
  const workers = lanes.lanes.map((rows, worker) => {
    const spans = rows.flatMap((row) => row.spans);
    const busy = rows.reduce((sum, row) => sum + row.busy[row.busy.length - 1], 0);
    const moved = spans.reduce((sum, span) => sum + model.spanMoved[span], 0);
    return { name: model.workers[worker], slots: rows.length, spans: spans.length, busy, moved };
  });
  const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
  const work = workers.reduce((sum, worker) => sum + worker.busy, 0);
  return {
    workers, slots, work,
    moved: workers.reduce((sum, worker) => sum + worker.moved, 0),
    utilisation: slots ? Math.min(1, work / (slots * model.makespan)) : 0,
  };
}

/* Nodes that ran to their end, each after all it needs. */
function finishedInOrder(model) {
  const left = new Int32Array(model.size);
  const ran = (id) => model.spanOf[id] >= 0 && model.spanEnd[model.spanOf[id]] === SPAN_FINISHED;
  const order = [];
  for (let id = 0; id < model.size; id++) {
    if (!model.isKnown[id]) continue;
    model.eachNeed(id, () => left[id]++);
    if (!left[id]) order.push(id);
  }
  for (let at = 0; at < order.length; at++) {
    model.eachUser(order[at], (user) => {
      if (--left[user] === 0) order.push(user);
    });
  }
  return order.filter(ran);
}

/* The chain of nodes that takes longest, whatever the number of workers. */
function criticalPath(model) {
  const before = new Int32Array(model.size).fill(-1);
  const length = new Float64Array(model.size);
  let last = -1;
  for (const id of finishedInOrder(model)) {
    model.eachNeed(id, (need) => {
      if (length[need] > length[id]) {
        length[id] = length[need];
        before[id] = need;
      }
    });
    length[id] += model.spanTook[model.spanOf[id]];
    if (last < 0 || length[id] > length[last]) last = id;
  }
  const path = [];
  for (let id = last; id >= 0; id = before[id]) path.push(id);
  return { path: path.reverse(), length: last < 0 ? 0 : length[last] };
}

/* Walk back from what ended last: each step's own time, and what it waited for before.

   A wait counts as one for a worker if the lane it then ran on was busy for most of it; else it was
   overhead: scheduling, transfer, or the program between two runs. */
function whatBounded(model, lanes) {
  let id = -1;
  let latest = -Infinity;
  for (const span of model.spanOf) {
    if (span < 0) continue;
    const end = model.spanStart[span] + model.spanTook[span];
    if (end > latest) {
      latest = end;
      id = model.spanNode[span];
    }
  }
  const totals = { computing: 0, queueing: 0, overhead: id < 0 ? 0 : model.end - latest, steps: [] };
  const seen = new Set();
  while (id >= 0 && !seen.has(id)) {
    seen.add(id);
    const span = model.spanOf[id];
    const { need, ready } = lastNeed(model, id);
    const start = model.spanStart[span];
    const wait = Math.max(0, start - ready);
    const isQueueing = wait > 0 && busyBetween(model, lanes, span, ready, start) > wait / 2;
    totals.computing += model.spanTook[span];
    totals[isQueueing ? "queueing" : "overhead"] += wait;
    totals.steps.push({ id, wait, isQueueing });
    id = need;
  }
  totals.steps.reverse();
  return totals;
}

function lastNeed(model, id) {
  let need = -1;
  let ready = model.start;
  model.eachNeed(id, (candidate) => {
    const span = model.spanOf[candidate];
    if (span < 0) return;
    const end = model.spanStart[span] + model.spanTook[span];
    if (need < 0 || end > ready) {
      need = candidate;
      ready = end;
    }
  });
  return { need, ready };
}

function busyBetween(model, lanes, span, from, to) {
  const lane = lanes.lanes[model.spanWorker[span]][lanes.laneOf[span]];
  const first = firstWith(lane.spans.length, (i) => model.spanStart[lane.spans[i]] + model.spanTook[lane.spans[i]] > from);
  const end = firstWith(lane.spans.length, (i) => model.spanStart[lane.spans[i]] >= to);
  return end > first ? lane.busy[end] - lane.busy[first] : 0;
}

/* The first of 0 … count - 1 for which `isTrue` holds, as it does for all after it. */
function firstWith(count, isTrue) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/* A list schedule of the finished nodes on `slots` equal workers: always the ready node that most
   work hangs on. No transfer, no overhead. */
class ListSchedule {
  constructor(model) {
    this.model = model;
    this.order = finishedInOrder(model);
    this.below = new Float64Array(model.size);
    this.needs = new Int32Array(model.size);
    const isIn = new Uint8Array(model.size);
    for (const id of this.order) isIn[id] = 1;
    for (let at = this.order.length - 1; at >= 0; at--) {
      const id = this.order[at];
      let longest = 0;
      model.eachUser(id, (user) => {
        if (!isIn[user]) return;
        this.needs[user]++;
        longest = Math.max(longest, this.below[user]);
      });
      this.below[id] = longest + model.spanTook[model.spanOf[id]];
    }
    this.isIn = isIn;
  }

  makespan(slots) {
    const { model, below, isIn } = this;
    const left = this.needs.slice();
    const ready = new Heap((a, b) => below[a] > below[b]);
    const ends = new Float64Array(model.size);
    const running = new Heap((a, b) => ends[a] < ends[b]);
    for (const id of this.order) if (!left[id]) ready.push(id);
    let now = 0;
    while (ready.size || running.size) {
      while (ready.size && running.size < slots) {
        const id = ready.pop();
        ends[id] = now + model.spanTook[model.spanOf[id]];
        running.push(id);
      }
      const ended = running.pop();
      now = ends[ended];
      model.eachUser(ended, (user) => {
        if (isIn[user] && --left[user] === 0) ready.push(user);
      });
    }
    return now;
  }
}

class Heap {
  constructor(isBefore) {
    this.isBefore = isBefore;
    this.items = [];
  }

  get size() {
    return this.items.length;
  }

  push(item) {
    const { items, isBefore } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(item, items[parent])) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }

  pop() {
    const { items, isBefore } = this;
    const top = items[0];
    const item = items.pop();
    if (items.length) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= items.length) break;
        if (child + 1 < items.length && isBefore(items[child + 1], items[child])) child++;
        if (!isBefore(items[child], item)) break;
        items[at] = items[child];
        at = child;
      }
      items[at] = item;
    }
    return top;
  }
}
