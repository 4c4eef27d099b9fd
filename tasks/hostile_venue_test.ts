/**
 * A venue that says what it should not, over real sockets: what is sound beside it is kept, what is not is counted, every
 * word is one line, and nothing ends the stage but what the user must change.
 */
import assert from "@std/assert";
import ingest from "../cmd/ingest.ts";
import validate from "../cmd/validate.ts";
import { Misuse } from "../lib/failure.ts";
import { Pretend, PRETENDED } from "../lib/pretend.ts";
import { perform, type Stage } from "../lib/stage.ts";
import type { Tick } from "../lib/tick.ts";
import { TOPICS } from "../lib/transport.ts";
import { run, settingOf, withData } from "../testdata/flow.ts";
import { host, type Peer } from "../testdata/peer.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const never = new AbortController().signal;

/** Follows a venue by the stage `ingest` until `see` says of a tick that it was the last. */
async function followed(data: string, flags: Readonly<Record<string, string>>, see: (tick: Tick) => boolean) {
  if (!("run" in ingest)) throw new Error("ingest is no stage");
  const { run: follow } = ingest;
  const over = new AbortController();
  const ticks: Tick[] = [], lines: string[] = [];
  const seeing: Stage = {
    ...ingest,
    run: (hands) =>
      follow({
        ...hands,
        send: async (topic, partition, messages) => {
          const place = await hands.send(topic, partition, messages);
          if (topic !== TOPICS.raw) return place;
          for (const { value } of messages) {
            const tick: Tick = JSON.parse(value as string);
            ticks.push(tick);
            if (see(tick)) over.abort();
          }
          return place;
        },
      }),
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const setting = settingOf(seeing, data, [...args, "--frames"]);
  const outcome = await perform(
    seeing,
    setting,
    (said) => said.word === "report" && lines.push(said.line),
    over.signal,
    never,
  );
  return { ticks, lines, kinds: outcome.kinds as Readonly<Record<string, number>> };
}

const START = 1_700_000_000_000;
const trade = (id: number, time = START + id): string =>
  JSON.stringify({ e: "trade", E: time, s: "AAAUSDT", t: id, p: "1.50", q: "2", T: time, m: true, M: true });
const change = (first: number, last: number): string =>
  JSON.stringify({ e: "depthUpdate", E: START + last, s: "AAAUSDT", U: first, u: last, b: [["10000.00", "1"]], a: [] });
const book = (id: number, levels: number): string => {
  const side = (from: number, step: number) =>
    Array.from({ length: levels }, (_, i) => [((from + i * step) / 100).toFixed(2), "1.5"]);
  return JSON.stringify({ lastUpdateId: id, bids: side(1_000_000, -1), asks: side(1_000_001, 1) });
};

/** The same of a host that says this once it was asked, and answers this by REST. */
async function heard(
  say: (peer: Peer) => void,
  answer: () => string,
  see: (tick: Tick) => boolean,
  then: (data: string) => Promise<void> = () => Promise.resolve(),
) {
  return await withResult(async (data) => {
    await using venue = host((_attempt, request) =>
      request.headers.get("upgrade") === null ? new Response(answer()) : null
    );
    const following = followed(data, {
      ...{ venue: "binance", symbols: "AAAUSDT", base: venue.base, rest: venue.base.replace("ws", "http") },
      ...{ "book-depth": "5", "book-every": "0" },
    }, see);
    const peer = await venue.peer();
    peer.send(JSON.stringify({ result: null, id: JSON.parse(await peer.message()).id }));
    say(peer);
    const result = await following;
    await then(data);
    return result;
  });
}

async function withResult<T>(use: (data: string) => Promise<T>): Promise<T> {
  let result: T;
  await withData(async (data) => {
    result = await use(data);
  });
  return result!;
}

const isTrade = (id: number) => (tick: Tick): boolean => tick.type === "trade" && tick.sequence === id;

Deno.test(
  "ten megabytes of a line, of brackets, and bytes where text is due are counted, and what follows is kept",
  strict,
  async () => {
    const { ticks, kinds } = await heard(
      (peer) => {
        peer.send("x".repeat(10_000_000), "[".repeat(10_000_000), '{"a":'.repeat(2_000_000));
        peer.send(new TextEncoder().encode(trade(1)), Uint8Array.of(0, 255), "", trade(2));
      },
      () => "{}",
      isTrade(2),
    );
    assert.deepEqual(kinds, { ack: 1, malformed: 6, trade: 1 });
    assert.equal(ticks.filter(({ type }) => type === "trade").length, 1);
  },
);

Deno.test(
  "a book that no message can hold is a book all the same: that it came is said, and what is built of it",
  strict,
  async () => {
    const { ticks, kinds } = await heard(
      (peer) => peer.send(change(11, 20)),
      () => book(15, 100_000),
      (tick) => tick.type === "book",
    );
    assert.deepEqual(kinds, { ack: 1, depthUpdate: 1, malformed: 1 });
    const said = ticks.flatMap((tick) => tick.type === "status" ? [tick.detail] : tick.source ?? []);
    assert.deepEqual(said.slice(2, 4), ["book synced", "built"]);
    const built = ticks.find((tick) => tick.type === "book")!;
    assert.deepEqual([built.type === "book" && built.bids[0], built.type === "book" && built.bids.length], [
      ["10000.00", "1"],
      5,
    ]);
  },
);

Deno.test(
  "changes before their snapshot, the snapshot again and numbers that begin anew break nothing",
  strict,
  async () => {
    const { ticks, kinds } = await heard(
      (peer) => {
        peer.send(...[1, 11, 21].map((id) => change(id, id + 9)));
        peer.send(...[5, 6, 7, 1, 2, 8].map((id) => trade(id)));
      },
      () => book(25, 5),
      (tick) => tick.type === "book" && tick.source === "built",
    );
    assert.deepEqual(kinds, { ack: 1, depthUpdate: 3, trade: 6, snapshot: 1 });
    assert.deepEqual(ticks.flatMap((tick) => tick.type === "trade" ? [tick.sequence] : []), [5, 6, 7, 1, 2, 8]);
    const built = ticks.find((tick) => tick.source === "built")!;
    assert.equal(built.id, "30");
  },
);

Deno.test("a clock that is seconds behind the venue's makes no tick unsound", strict, async () => {
  await heard(
    (peer) => peer.send(...[1, 2, 3].map((id) => trade(id, Date.now() + 2_000 + id))),
    () => "{}",
    isTrade(3),
    async (data) => {
      const { sent } = await judged(data);
      assert.equal(sent[TOPICS.rejected] ?? 0, 0);
      assert.ok(sent[TOPICS.valid]! >= 3);
    },
  );
});

async function judged(data: string) {
  let sent: Readonly<Record<string, number>> = {};
  await perform(
    validate,
    settingOf(validate, data, []),
    (said) => said.word === "progress" && (sent = said.progress.sent),
    never,
    AbortSignal.abort(),
  );
  return { sent };
}

/** Two that say nothing to anybody who asks for an instrument, whether they have it or not. */
const MUTE: readonly string[] = ["finnhub", "upstox"];

for (const as of PRETENDED.filter((as) => !MUTE.includes(as))) {
  Deno.test(`${as}: an instrument that it does not have is refused once, and the others go on`, strict, async () => {
    await withData(async (data) => {
      const pretend = await Pretend.open({ as, symbols: 2 });
      const sound = pretend.symbols[0]!;
      try {
        let isSubscribed = false;
        const { ticks, lines } = await followed(
          data,
          { venue: as, symbols: `NOPE,${sound}`, base: pretend.socketUrl, rest: pretend.restUrl },
          (tick) => {
            if (tick.type === "status" && tick.state === "subscribed" && !isSubscribed && tick.symbol === sound) {
              isSubscribed = true;
              for (let i = 0; i < 100; i++) pretend.step();
            }
            return isSubscribed && tick.type === "trade";
          },
        );
        assert.ok(ticks.some(({ type, symbol }) => type === "trade" && symbol === sound));
        const refusals = lines.filter((line) => line.includes("refuses"));
        // Binance agrees to any name, and says nothing of it.
        assert.equal(refusals.length, as.startsWith("binance") ? 0 : 1, refusals.join("\n"));
        for (const line of refusals) assert.match(line, /^\S+ refuses "NOPE": .*NOPE/);
      } finally {
        await pretend.close();
      }
    });
  });
}

Deno.test(
  "a name in another spelling, between spaces, is the instrument that the venue's frames name",
  strict,
  async () => {
    await withData(async (data) => {
      await using venue = host();
      const following = followed(
        data,
        { venue: "binance", symbols: " aaausdt , BBBusdt", base: venue.base },
        (tick) => tick.type === "status" && tick.state === "subscribed" && tick.symbol === "BBBUSDT",
      );
      const peer = await venue.peer();
      const { params, id } = JSON.parse(await peer.message());
      assert.deepEqual([params[0], params.at(-1)], ["aaausdt@trade", "bbbusdt@depth@100ms"]);
      peer.send(JSON.stringify({ result: null, id }));
      const { ticks } = await following;
      assert.deepEqual([...new Set(ticks.map(({ symbol }) => symbol))], ["AAAUSDT", "BBBUSDT"]);
    });
  },
);

Deno.test("what can be no instrument, place or count is misuse that names it and what it must be", strict, async () => {
  await withData(async (data) => {
    const nowhere = ["--base", "ws://127.0.0.1:1"];
    await Deno.writeTextFile(`${data}/file`, "");
    for (
      const [args, said] of [
        [["--symbols", "A".repeat(10_000)], /^Cannot ingest symbol "A{64}…": no tick can have it, must be .{1,80}$/],
        [["--symbols", "AAA,BBB/../C"], /^Cannot ingest symbol "BBB\/..\/C": no tick can have it/],
        [["--symbols", "AAA,\x1b[2J"], /^Cannot ingest symbol "/],
        [["--symbols", " , ,"], /: nothing is asked for, must have a symbol and a channel$/],
        [["--symbols", "AAA", "--channels", "nope"], /^Cannot ingest channel "nope": it is unknown/],
        [["--symbols", "AAA", "--base", "nonsense"], /its base is "nonsense", must be spoken to at wss:/],
        [["--symbols", "AAA", "--base", "http://127.0.0.1"], /its base is "http:\/\/127.0.0.1", must be/],
        [["--symbols", "AAA", "--base", "ws://127.0.0.1:65536"], /its base is "ws:\/\/127.0.0.1:65536", must be/],
        [["--symbols", "AAA", "--rest", "ws://127.0.0.1"], /its base is "ws:\/\/127.0.0.1", must be https:/],
        [["--from", data], /^Cannot read capture ".*": it is a folder, must be a file$/],
        [["--from", `${data}/none`], /^Cannot read capture ".*none": there is no such file/],
        [["--from", "log:"], /^Cannot read frames "log:": names topic "", must be log:FOLDER\/frames$/],
        [["--from", "log:/frames"], /^Cannot read frames "log:\/frames": names topic "", must be/],
        [["--from", `log:${data}/none/frames`], /^Cannot read frames "log:.*": there is no log, must be/],
        [["--from", `log:${data}/file/frames`], /^Cannot read frames "log:.*": there is no log, must be/],
        [["--from", `${data}/file`, "--book-depth", "0"], /^Cannot use --book-depth "0": .*, must be 1 to 1000$/],
        [["--from", `${data}/file`, "--book-depth", "100000"], /^Cannot use --book-depth "100000": /],
        [["--venue", "nope", "--symbols", "AAA"], /^Cannot use --venue "nope": it is unknown, must be one of/],
        [
          ["--venue", "finnhub", "--symbols", "AAA"],
          /FINNHUB_TOKEN is not set, must be given the venue's token in it$/,
        ],
      ] as const
    ) {
      const place = args[0] === "--from" ? [] : nowhere;
      const error = await run(ingest, data, ...place, ...args).then(() => null, (error) => error);
      assert.ok(error instanceof Misuse, `${args.join(" ").slice(0, 99)}: ${error}`);
      assert.match(error.message, said);
    }
  });
});

/** A command as a process: its exit code, and what it said but for where to read on. */
async function command(name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `cmd/${name}.ts`, ...args],
    cwd: new URL("..", import.meta.url).pathname,
    env,
    stdout: "null",
  }).output();
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  return { code, lines: lines.filter((line) => !/ --help shows the flags$/.test(line)) };
}

Deno.test(
  "a command that cannot do what it was told says so on one line, and ends as the table of exit codes says",
  strict,
  async () => {
    await withData(async (data) => {
      await using refusing = host(() => new Response("", { status: 401 }));
      await using page = host(() =>
        new Response("<html>maintenance</html>", { headers: { "content-type": "text/html" } })
      );
      const { port } = new URL(page.base);
      const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
      const closed = listener.addr.port;
      listener.close();
      const trade = '1700000000000000000 {"e":"trade"}\n'.repeat(1_000);
      const gzip = new Response(trade).body!.pipeThrough(new CompressionStream("gzip"));
      await Deno.writeFile(`${data}/cut.gz`, (await new Response(gzip).bytes()).slice(0, -20));
      const live = (base: string) => ["--symbols", "AAAUSDT", "--base", base, "--retry-for", "0"];
      const cases = [
        ["simulate", ["--as", "nope"], 2, /^Cannot pretend venue "nope": it is unknown, must be one of binance/],
        [
          "simulate",
          ["--as", "binance", "--listen", "nonsense"],
          2,
          /^Cannot use --listen "nonsense": .*, must be HOST:PORT$/,
        ],
        ["simulate", ["--as", "binance", "--listen", "127.0.0.1:99999"], 2, /^Cannot use --listen "127.0.0.1:99999": /],
        [
          "simulate",
          ["--as", "binance", "--listen", `127.0.0.1:${port}`],
          2,
          /^Cannot listen at ".*in use.*must be a free/,
        ],
        ["simulate", ["--as", "binance", "--mischief", "2"], 2, /^Cannot use --mischief "2": .*, must be 0 to 1$/],
        ["ingest", ["--from", "log:/frames"], 2, /^Cannot read frames "log:\/frames": /],
        [
          "ingest",
          ["--from", `${data}/cut.gz`],
          1,
          /^ingest: Cannot read capture ".*cut.gz": gzip data is damaged or cut off/,
        ],
        [
          "ingest",
          live(`ws://127.0.0.1:${closed}`),
          1,
          /^ingest: Cannot follow "binance": .* cannot be reached \(tcp /,
        ],
        [
          "ingest",
          live("ws://nowhere.invalid"),
          1,
          /^ingest: Cannot follow "binance": .* cannot be reached \(dns error\)/,
        ],
        [
          "ingest",
          live(`wss://127.0.0.1:${port}`),
          1,
          /^ingest: Cannot follow "binance": .* cannot be reached \(.*corrupt/,
        ],
        ["ingest", live(page.base), 1, /^ingest: Cannot follow "binance": .* answers 200, must open a websocket$/],
        [
          "ingest",
          ["--venue", "finnhub", ...live(refusing.base)],
          2,
          /refuses the token \(401\), must be given in FINNHUB_TOKEN/,
        ],
        [
          "ingest",
          ["--venue", "finnhub", ...live(`ws://127.0.0.1:${closed}`)],
          1,
          /^ingest: Cannot follow "finnhub": ws:/,
        ],
      ] as const;
      await Promise.all(cases.map(async ([name, args, code, said], i) => {
        const ended = await command(name, [...args, "--data", `${data}/${i}`], { FINNHUB_TOKEN: "open sesame" });
        const shown = ended.lines.join("\n");
        assert.deepEqual([ended.code, ended.lines.length], [code, 1], `${name} ${args.join(" ")}: ${shown}`);
        assert.match(shown, said);
        assert.doesNotMatch(shown, /sesame/);
      }));
    });
  },
);
