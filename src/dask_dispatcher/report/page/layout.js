/* Places for the boxes of a drawn graph: columns by depth, rows so that lines cross little. */

/* boxes: [{depth, width, height}], edges: [[from, to]]; sets x and y, returns the size of it all. */
function layOut(boxes, edges) {
  const columns = columnsByDepth(boxes);
  const neighbours = boxes.map(() => []);
  for (const [from, to] of edges) {
    neighbours[from].push(to);
    neighbours[to].push(from);
  }
  const row = new Float64Array(boxes.length);
  for (const column of columns) column.forEach((box, i) => { row[box] = i; });
  for (let sweep = 0; sweep < 6; sweep++) {
    const walk = sweep % 2 ? [...columns].reverse() : columns;
    for (const column of walk) {
      const mean = new Map(column.map((box) => [box, meanRow(neighbours[box], row, row[box])]));
      column.sort((a, b) => mean.get(a) - mean.get(b) || a - b);
      column.forEach((box, i) => { row[box] = i - column.length / 2; });
    }
  }
  return place(boxes, columns);
}

function columnsByDepth(boxes) {
  const depths = [...new Set(boxes.map((box) => Math.round(box.depth)))].sort((a, b) => a - b);
  const position = new Map(depths.map((depth, i) => [depth, i]));
  const columns = depths.map(() => []);
  boxes.forEach((box, i) => columns[position.get(Math.round(box.depth))].push(i));
  return columns;
}

function meanRow(others, row, own) {
  if (!others.length) return own;
  return others.reduce((sum, other) => sum + row[other], 0) / others.length;
}

function place(boxes, columns) {
  const gapX = 64, gapY = 14, margin = 12;
  const heights = columns.map((column) => column.reduce((sum, i) => sum + boxes[i].height + gapY, -gapY));
  const height = Math.max(0, ...heights);
  let x = margin;
  columns.forEach((column, c) => {
    const width = Math.max(...column.map((i) => boxes[i].width));
    let y = margin + (height - heights[c]) / 2;
    for (const i of column) {
      boxes[i].x = x;
      boxes[i].y = y;
      y += boxes[i].height + gapY;
    }
    x += width + gapX;
  });
  return { width: Math.max(2 * margin, x - gapX + margin), height: height + 2 * margin };
}

/* How far each node is from those that need nothing. */
function depthsOf(model) {
  const depth = new Int32Array(model.size);
  const left = new Int32Array(model.size);
  const order = [];
  for (let id = 0; id < model.size; id++) {
    model.eachNeed(id, () => left[id]++);
    if (!left[id]) order.push(id);
  }
  for (let at = 0; at < order.length; at++) {
    const id = order[at];
    model.eachUser(id, (user) => {
      depth[user] = Math.max(depth[user], depth[id] + 1);
      if (--left[user] === 0) order.push(user);
    });
  }
  return depth;
}
