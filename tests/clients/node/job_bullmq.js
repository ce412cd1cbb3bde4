// bullmq: jobs with results, a retry, a delayed job, priorities, a parent with children.
const assert = require("node:assert");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");
const { address, did, harm, patiently, run, until, used } = require("./support");

run(async () => {
  used("bullmq", "ioredis");
  const connection = { ...address, maxRetriesPerRequest: null, retryStrategy: () => 200 };
  const quiet = (thing) => { thing.on("error", () => {}); return thing; };
  const queue = quiet(new Queue("work", { connection }));
  const events = quiet(new QueueEvents("work", { connection }));
  const done = new Map();
  const worker = quiet(new Worker("work", async (job) => {
    if (job.name === "flaky" && job.attemptsMade === 0) throw new Error("the first time fails on purpose");
    return job.name === "parent" ? Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0) : job.data.n * job.data.n;
  }, { connection, concurrency: 4, lockDuration: 5_000, stalledInterval: 2_000, maxStalledCount: 10 }));
  const jobs = [];
  for (let n = 0; n < 40; n++) {
    if (n === 20) await harm();
    jobs.push(await patiently(() => queue.add("square", { n }, { jobId: `square-${n}`, attempts: 3 })));
  }
  jobs.push(await patiently(() => queue.add("flaky", { n: 7 }, { jobId: "flaky", attempts: 3, backoff: { type: "fixed", delay: 300 } })));
  jobs.push(await patiently(() => queue.add("square", { n: 9 }, { jobId: "later", delay: 1_000 })));
  jobs.push(await patiently(() => queue.add("square", { n: 8 }, { jobId: "first", priority: 1 })));
  await until(async () => {
    for (const job of jobs) {
      if (done.has(job.id)) continue;
      const now = await patiently(() => queue.getJob(job.id));
      if (now && now.returnvalue !== null && now.finishedOn) done.set(job.id, now.returnvalue);
    }
    return done.size === jobs.length;
  }, "all jobs done");
  for (let n = 0; n < 40; n++) assert.equal(done.get(`square-${n}`), n * n);
  assert.deepEqual([done.get("flaky"), done.get("later"), done.get("first")], [49, 81, 64]);
  const flow = new FlowProducer({ connection });
  const tree = await flow.add({
    name: "parent", queueName: "work", data: {},
    children: [1, 2, 3].map((n) => ({ name: "square", queueName: "work", data: { n } })),
  });
  await events.waitUntilReady();
  assert.equal(await tree.job.waitUntilFinished(events, 30_000), 14);
  await worker.close(true);
  did("43 jobs with their results, a retry, a delay, a priority, a parent of three");
});
