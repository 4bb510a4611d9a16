// Ways through a network of links: distances, a queue, and the path itself.
function neighbours(links, node) {
  return links.filter(([from]) => from === node).map(([, to]) => to);
}

function breadthFirst(links, start) {
  const distance = new Map([[start, 0]]);
  const queue = [start];
  while (queue.length > 0) {
    const node = queue.shift();
    for (const next of neighbours(links, node)) {
      if (!distance.has(next)) {
        distance.set(next, distance.get(node) + 1);
        queue.push(next);
      }
    }
  }
  return distance;
}

function relax(cost, from, to, weight) {
  if (cost[from] + weight < cost[to]) {
    cost[to] = cost[from] + weight;
    return true;
  }
  return false;
}

function popNearest(open, cost) {
  open.sort((a, b) => cost[b] - cost[a]);
  return open.pop();
}

function tracePath(previous, target) {
  const path = [];
  for (let node = target; node !== undefined; node = previous[node]) path.unshift(node);
  return path;
}

function degree(links, node) {
  return links.filter(([from, to]) => from === node || to === node).length;
}
