// What every job needs; see jobs/support.py.
const readline = require("node:readline");

const servers = (process.env.SERVERS || "127.0.0.1:6379").split(",").map((each) => {
  const [host, port] = each.split(":");
  return { host, port: Number(port) };
});
const address = servers[0];

/** The middle of the job: the runner kills a node now, or does not. */
function harm() {
  return new Promise((resolve) => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.once("line", () => { lines.close(); process.stdin.unref?.(); resolve(); });
    console.log("@harm");
  });
}

function used(...names) {
  console.log("@with " + names.map((name) => `${name} ${require(name + "/package.json").version}`).join(", "));
}

function did(what) { console.log("@did " + what); }

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** For what may be done twice: again while the server is away. */
async function patiently(call) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try { return await call(); } catch (error) {
      if (/^(WRONGTYPE|ERR|NOSCRIPT)/.test(error.message) || Date.now() > deadline) throw error;
      await pause(200);
    }
  }
}

async function until(condition, what) {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("not in 60 s: " + what);
    await pause(100);
  }
}

function run(main) {
  main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
}

module.exports = { address, did, harm, patiently, pause, run, servers, until, used };
