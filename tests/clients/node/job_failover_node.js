// ioredis and node-redis, told of all nodes and of nothing else, by sentinels and by a cluster.
const assert = require("node:assert");
const { Redis, Cluster } = require("ioredis");
const { did, harm, patiently, run, servers, used } = require("./support");
const nodeRedis = require("redis");

const VALUES = 50;

/** One that begins with the node that will be killed: it draws one of them. */
async function clusterAt({ host, port }, options) {
  for (;;) {
    const cluster = await nodeRedis.createCluster(options).on("error", () => {}).connect();
    if (cluster.masters[0].address === `${host}:${port}`) return cluster;
    await cluster.close();
  }
}

run(async () => {
  used("ioredis", "redis");
  const options = { retryStrategy: () => 100, sentinelRetryStrategy: () => 100, clusterRetryStrategy: () => 100 };
  const rootNodes = servers.map(({ host, port }) => ({ url: `redis://${host}:${port}` }));
  const refreshSoon = { topologyRefreshOnReconnectionAttemptStrategy: 100 };  // it waits for 5 s otherwise before it asks another node
  const clients = {
    "ioredis sentinel": new Redis({ sentinels: servers, name: "mymaster", ...options }),
    "ioredis cluster": new Cluster(servers, { scaleReads: "all", ...options }),
    "node-redis cluster": await clusterAt(servers[0], { rootNodes, ...refreshSoon }),
    "node-redis sentinel": await nodeRedis.createSentinel({ name: "mymaster", sentinelRootNodes: servers }).on("error", () => {}).connect(),
  };
  for (const client of Object.values(clients)) client.on("error", () => {});
  const gaps = {};
  const fill = async (client, name, prefix) => {
    for (let n = 0; n < VALUES; n++) {
      const began = Date.now();
      await patiently(() => client.set(`${prefix}:${n}`, String(n)));
      gaps[name] = Math.max(gaps[name] || 0, Date.now() - began);
    }
  };
  for (const [name, client] of Object.entries(clients)) await fill(client, name, name);
  await harm();
  await Promise.all(Object.entries(clients).map(([name, client]) => fill(client, name, `${name} again`)));
  for (const client of Object.values(clients)) {
    for (const name of Object.keys(clients)) {
      for (const more of ["", " again"]) {
        for (let n = 0; n < VALUES; n++) {
          assert.equal(await patiently(() => client.get(`${name}${more}:${n}`)), String(n), "a value was lost");
        }
      }
    }
  }
  const longest = Object.entries(gaps).map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(", ");
  did(`${VALUES} values by each of ${Object.keys(clients).length} clients, and as many behind it, read by all; longest gap: ${longest}`);
});
