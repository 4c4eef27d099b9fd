/** What a live source asks a venue for, against a host on this machine. */
import assert from "@std/assert";
import { HandClock, host, madeVenue, worldOf } from "../testdata/peer.ts";
import { PAUSES } from "./feed/line.ts";
import { LiveSource } from "./live.ts";
import type { Frame } from "./frames.ts";
import type { Venue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;

Deno.test(
  "a snapshot that cannot be had for long is asked for again after a while, once for all who want it",
  strict,
  async () => {
    let asked = 0;
    const rest = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
      asked++;
      return asked < 3 ? new Response("", { status: 503 }) : new Response('{"s":"A","b":7}');
    });
    await using venue = host();
    const clock = new HandClock();
    // Turns to ask; a minute after no answer is the test's.
    clock.passes = (ms) => ms === 1;
    const { world, lines } = worldOf(clock, { retryForMs: 0 });
    const made: Venue = {
      ...madeVenue({
        rest: { base: "https://venue.invalid", snapshot: (s) => `/depth?symbol=${s}`, requestsPerMinute: 60_000 },
      }),
      books: "splice",
    };
    const source = new LiveSource(made, {
      subscription: { symbols: ["A"], channels: ["trade"] },
      ...{ run: "r", base: venue.base, rest: `http://127.0.0.1:${rest.addr.port}`, micros: clock.now, world },
    });
    const stop = new AbortController();
    const frames = (async function* () {
      for await (const batch of source.read(0, stop.signal)) yield* batch.frames;
    })();
    const connected = frames.next();
    await venue.peer();
    await connected;
    source.want({ wants: ["A"], missing: [] });
    for (let minute = 0; minute < 2; minute++) {
      await clock.pass(PAUSES.msMax);
      source.want({ wants: ["A"], missing: [] });
    }
    const { value } = await frames.next();
    assert.deepEqual([value!.symbol, value!.frame, asked], ["A", '{"s":"A","b":7}', 3]);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^no snapshot of A: .* answers 503/);
    stop.abort();
    for await (const _ of frames);
    await rest.shutdown();
  },
);

Deno.test(
  "each book in turn is compared with a snapshot, of which the tape is told before, and never while a book waits for one",
  strict,
  async () => {
    const paths: string[] = [];
    const rest = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      const { pathname, search } = new URL(request.url);
      paths.push(pathname + search);
      if (paths.length === 2) return new Response("no such", { status: 404 });
      return search === "?symbol=C" ? new Response("", { status: 503 }) : new Response("{}");
    });
    await using venue = host();
    const clock = new HandClock();
    clock.passes = (ms) => ms === 1;
    const { world, lines } = worldOf(clock, { retryForMs: 0 });
    const made: Venue = {
      ...madeVenue({
        channels: ["trade", "book"],
        rest: { base: "https://venue.invalid", snapshot: (s) => `/depth?symbol=${s}`, requestsPerMinute: 60_000 },
      }),
      books: "splice",
    };
    const source = new LiveSource(made, {
      subscription: { symbols: ["A", "B"], channels: ["trade", "book"] },
      ...{ run: "r", base: venue.base, rest: `http://127.0.0.1:${rest.addr.port}`, micros: clock.now, world },
      compareEveryMs: 80_000,
    });
    const stop = new AbortController();
    const frames = (async function* () {
      for await (const batch of source.read(0, stop.signal)) yield* batch.frames;
    })();
    const next = async (): Promise<Frame> => (await frames.next()).value!;
    const connected = next();
    await venue.peer();
    await connected;
    const told = async (symbol: string) => {
      const { isEvent, frame, connection } = await next();
      const event = JSON.parse(frame);
      assert.deepEqual([isEvent, event.event, event.symbols, connection], [true, "comparing", [symbol], "r.rest"]);
    };
    const answered = async (symbol: string, isComparison: true | undefined) => {
      const frame = await next();
      assert.deepEqual([frame.symbol, frame.isComparison, frame.frame], [symbol, isComparison, "{}"]);
    };
    // Spread over the two.
    const turn = () => clock.pass(40_000);
    await turn();
    await told("A");
    await answered("A", true);
    await turn();
    await told("B");
    // It was refused: that is said once, and the others go on.
    await turn();
    await told("A");
    await answered("A", true);
    // While a snapshot is waited for, those that are only to be compared are not asked for.
    source.want({ wants: ["C"], missing: [] });
    await clock.waiting(PAUSES.msMax);
    await turn();
    await clock.waiting(40_000);
    assert.deepEqual(paths.map((path) => path.at(-1)), ["A", "B", "A", "C"]);
    stop.abort();
    for await (const _ of frames);
    await rest.shutdown();
    assert.match(lines[0]!, /^no snapshot of B to compare with: .* answers 404/);
    assert.match(lines[1]!, /^no snapshot of C: .* answers 503/);
    assert.equal(lines.length, 2);
  },
);

Deno.test(
  "a venue that has no snapshots, or is not asked for books, is not asked for any to compare with",
  strict,
  async () => {
    for (const channels of [["trade"], ["trade", "book"]] as const) {
      await using venue = host();
      const clock = new HandClock();
      const { world } = worldOf(clock, { retryForMs: 0 });
      const snapshot = (s: string) => `/depth?symbol=${s}`;
      const rest = { base: "https://venue.invalid", requestsPerMinute: 60_000 };
      const made = madeVenue({ channels, rest: channels.length === 1 ? { ...rest, snapshot } : rest });
      const source = new LiveSource(made, {
        subscription: { symbols: ["A"], channels },
        ...{ run: "r", base: venue.base, micros: clock.now, world, compareEveryMs: 77_777 },
      });
      const stop = new AbortController();
      const batches = source.read(0, stop.signal);
      const first = batches.next();
      await venue.peer();
      await first;
      assert.ok(!clock.waits.includes(77_777));
      stop.abort();
      for await (const _ of batches);
    }
  },
);

Deno.test("an answer that is no book is kept, told once, and asked for again after a while", strict, async () => {
  const pages = ["<html>maintenance</html>", '{"s":"A","t":1}', '{"s":"A","b":7}'];
  let asked = 0;
  const rest = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(pages[asked++], { headers: { "content-type": "text/html" } }),
  );
  await using venue = host();
  const clock = new HandClock();
  clock.passes = (ms) => ms === 1;
  const { world, lines } = worldOf(clock);
  const made: Venue = {
    ...madeVenue({
      rest: { base: "https://venue.invalid", snapshot: (s) => `/depth?symbol=${s}`, requestsPerMinute: 60_000 },
    }),
    books: "splice",
  };
  const source = new LiveSource(made, {
    subscription: { symbols: ["A"], channels: ["trade"] },
    ...{ run: "r", base: venue.base, rest: `http://127.0.0.1:${rest.addr.port}`, micros: clock.now, world },
  });
  const stop = new AbortController();
  const frames = (async function* () {
    for await (const batch of source.read(0, stop.signal)) yield* batch.frames;
  })();
  const connected = frames.next();
  await venue.peer();
  await connected;
  source.want({ wants: ["A"], missing: [] });
  for (const page of pages) {
    const { value } = await frames.next();
    assert.deepEqual([value!.symbol, value!.frame], ["A", page]);
    if (page !== pages.at(-1)) await clock.pass(PAUSES.msMax);
  }
  assert.deepEqual(lines, ['no snapshot of A: its answer is "unknown", must be a book']);
  stop.abort();
  for await (const _ of frames);
  assert.equal(asked, 3);
  await rest.shutdown();
});

Deno.test("who need not speak is asked about before a silent socket is given up", strict, async () => {
  await using venue = host();
  const clock = new HandClock();
  const { world } = worldOf(clock, { retryForMs: 0 });
  const asked = Promise.withResolvers<string>();
  const source = new LiveSource(madeVenue({ silentMs: 7_000 }), {
    subscription: { symbols: ["A"], channels: ["trade"] },
    ...{ run: "r", base: venue.base, micros: clock.now, world },
    isQuiet: (symbol) => {
      asked.resolve(symbol);
      return true;
    },
  });
  const stop = new AbortController();
  const batches = source.read(0, stop.signal);
  const first = batches.next();
  await venue.peer();
  await first;
  await clock.pass(7_000);
  assert.equal(await asked.promise, "A");
  await clock.waiting(7_000);
  stop.abort();
  for await (const { frames } of batches) assert.ok(frames.every(({ frame }) => !frame.includes('"silent"')));
});
