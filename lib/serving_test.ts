/**
 * A pretended venue as a command: in a Worker that may listen where it was told and nowhere else, at a pace, on TLS, from a
 * recorded capture, with its truth in a file, and without a trace of a log.
 */
import assert from "@std/assert";
import { Client } from "../testdata/client.ts";
import { permissionsOf } from "./permission.ts";
import { serve } from "./serving.ts";
import simulate from "../cmd/simulate.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const ORDERS = { as: "binance", listen: "127.0.0.1:0", seed: 1, symbols: 1, ticks: 0, rate: 1_000, mischief: 0 };

/** A venue at work whose clock stands until it is let go on: `at` is where it serves, `pass` lets ms pass. */
function working(orders: Partial<Parameters<typeof serve>[0]>) {
  const stop = new AbortController();
  const at = Promise.withResolvers<string>();
  let now = 1_795_000_000_000;
  let waiting: { readonly at: number; readonly wake: () => void } | null = null;
  const wake = (): void => {
    if (waiting === null || (now < waiting.at && !stop.signal.aborted)) return;
    const { wake } = waiting;
    waiting = null;
    wake();
  };
  const done = serve({ ...ORDERS, ...orders }, {
    world: { now: () => now, report: (line) => at.resolve(/(?:wss?):\/\/(\S+) /.exec(line)![1]!) },
    until: (at) =>
      new Promise((resolve) => {
        waiting = { at, wake: resolve };
        wake();
      }),
    signal: stop.signal,
    noted: undefined,
    paced: () => {},
  });
  done.catch(at.reject);
  at.promise.catch(() => {});
  return {
    at: at.promise,
    done,
    pass(ms: number): void {
      now += ms;
      wake();
    },
    stop(): void {
      stop.abort();
      wake();
    },
  };
}

Deno.test("the market is served at its pace and with the clock's time, until it is stopped", strict, async () => {
  const work = working({});
  const client = await Client.to(`ws://${await work.at}/ws/btcusdt@trade`);
  work.pass(100);
  const trade = await client.next();
  assert.equal(trade.T, 1_795_000_000_100);
  work.stop();
  assert.equal((await client.ended).code, 1001);
  const { made, came, struck } = await work.done;
  assert.deepEqual([made, came, struck], [100, 1, 0]);
});

Deno.test("instruments that are served are named, and of very many how many more there are", strict, async () => {
  for (const [symbols, more] of [[50, null], [300, / and \d+ more$/]] as const) {
    const lines: string[] = [];
    await serve({ ...ORDERS, symbols }, {
      ...{ world: { now: () => 0, report: (line) => lines.push(line) }, signal: AbortSignal.abort() },
      ...{ until: () => Promise.resolve(), noted: undefined, paced: () => {} },
    });
    const named = lines[0]!.replace(/^.*: /, "").replace(more ?? "", "").split(", ");
    assert.equal(named.length, more === null ? new Set(named).size : 100);
    assert.ok(named.length > 40 && named.every((symbol) => /^[A-Z0-9]+$/.test(symbol)), lines[0]);
    if (more !== null) assert.match(lines[0]!, more);
  }
});

Deno.test("so many events as were asked for are served", strict, async () => {
  const work = working({ ticks: 30 });
  await work.at;
  work.pass(1_000);
  assert.equal((await work.done).made, 30);
});

Deno.test("a capture waits for somebody, and its frames come as they are and in order", strict, async () => {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    await Deno.writeTextFile(
      path,
      '1723161255343000000 {"a":1.10}\n{"b":2}\nhttps://api.example.com/x?y=1 -> 1723161255.5: {"c":3}\n{"d":4}\n',
    );
    const work = working({ from: path });
    work.pass(1_000);
    const client = await Client.to(`ws://${await work.at}/ws/any`);
    work.pass(10_000);
    assert.deepEqual(await client.texts(3), ['{"a":1.10}', '{"b":2}', '{"d":4}']);
    assert.equal((await client.ended).code, 1001);
    assert.equal((await work.done).made, 4);
  } finally {
    await Deno.remove(path);
  }
});

const openssl = await new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).output()
  .then(({ success }) => success, () => false);
if (!openssl) console.log("skipped: TLS of a pretended venue; openssl is not there to make a certificate");

Deno.test({
  name: "websocket and REST are served on TLS",
  ignore: !openssl,
  async fn() {
    const folder = await Deno.makeTempDir();
    const [cert, key] = [`${folder}/cert.pem`, `${folder}/key.pem`];
    try {
      const names = "subjectAltName=IP:127.0.0.1";
      const made = await new Deno.Command("openssl", {
        args: ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
          .concat(
            ["-subj", "/CN=pretended", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"],
            ["-keyout", key, "-out", cert],
          ),
        stderr: "null",
      }).output();
      assert.ok(made.success);
      const work = working({ cert, key });
      const at = await work.at;
      using client = Deno.createHttpClient({ caCerts: [await Deno.readTextFile(cert)] });
      const answer = await fetch(`https://${at}/api/v3/time`, { client });
      assert.equal((await answer.json()).serverTime, 1_795_000_000_000);
      const socket = new WebSocket(`wss://${at}/ws/btcusdt@trade`, { client });
      const said = new Promise<string>((resolve) => socket.onmessage = ({ data }) => resolve(data));
      await new Promise((resolve) => socket.onopen = resolve);
      work.pass(100);
      assert.equal(JSON.parse(await said).e, "trade");
      const ended = new Promise((resolve) => socket.onclose = resolve);
      socket.close();
      await ended;
      work.stop();
      await work.done;
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("what cannot be served is misuse", strict, async () => {
  await assert.rejects(working({ as: "nyse" }).done, /^Misuse: Cannot pretend venue "nyse"/);
  await assert.rejects(
    working({ cert: "cert.pem" }).done,
    /^Misuse: Cannot serve TLS "cert.pem": the other is missing/,
  );
  // Before anybody has come to hear it.
  await assert.rejects(working({ from: "none.jsonl" }).done, /^Misuse: Cannot read capture "none.jsonl": there is no/);
  await assert.rejects(working({ from: "." }).done, /^Misuse: Cannot read capture ".": it is a folder/);
  await assert.rejects(working({ cert: "none.pem", key: "none.pem" }).done, /^Misuse: Cannot read PEM "none.pem"/);
});

Deno.test("a place to listen is a host and a port that there is", strict, () => {
  const { listen } = simulate.flags;
  if (listen?.kind !== "text") throw new Error("--listen is no text");
  for (const place of ["127.0.0.1:0", "host.example:9443", "[::1]:65535", "a:00080"]) {
    assert.match(place, listen.pattern!);
  }
  for (const none of ["nonsense", "a", "a:", ":1", "a:65536", "a:99999", "a:100000", "a:-1", "a:1/", "ws://a:1"]) {
    assert.doesNotMatch(none, listen.pattern!);
  }
});

Deno.test("a stage that serves may listen where it was told, touch the files it was given, and no log", async () => {
  const setting = {
    ...{ transport: "memory:", to: null, hot: "", lake: "", partitions: 4, create: false, retryForMs: 0, env: {} },
    values: { as: "bybit", listen: "127.0.0.1:9443", truth: "truth.jsonl", from: "capture.jsonl" },
  };
  const { hosts } = await simulate.reach!(setting.values as never);
  const { net, read, write } = permissionsOf(simulate, { ...setting, hosts });
  assert.deepEqual([net, read, write], [["127.0.0.1:9443"], ["truth.jsonl", "capture.jsonl"], ["truth.jsonl"]]);
  const { as: _as, ...values } = setting.values;
  assert.deepEqual((await simulate.reach!(values as never)).hosts, []);
});

Deno.test("the command serves from its Worker, leaves no log behind and writes its truth", strict, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const command = new URL("../cmd/simulate.ts", import.meta.url).pathname;
    const flags = ["--as=kraken", "--listen=127.0.0.1:0", "--ticks=20", "--rate=10000", "--json"];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", command, ...flags, `--data=${folder}/data`, `--truth=${folder}/truth.jsonl`],
      cwd: new URL("..", import.meta.url).pathname,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(JSON.parse(new TextDecoder().decode(stdout)).made, 20);
    const deeds = (await Deno.readTextFile(`${folder}/truth.jsonl`)).trim().split("\n").map((line) =>
      JSON.parse(line).deed
    );
    assert.deepEqual([...new Set(deeds)].sort(), ["book", "trade"]);
    await assert.rejects(Deno.stat(`${folder}/data`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
