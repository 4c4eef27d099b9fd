/** The websocket client against real sockets: what it does when a venue is not as it should be. */
import assert from "@std/assert";
import { createHash } from "node:crypto";
import { HandClock, host, madeVenue, worldOf } from "../testdata/peer.ts";
import { Misuse, Outage } from "./failure.ts";
import { type FeedEvent, follow, type Following, type Frame, type Received } from "./feed.ts";
import { chunksOf } from "./feed/asking.ts";
import { ANSWER_MS, CLOSE_MS, FRAME_LENGTH_MAX, QUIET_MS } from "./feed/connection.ts";
import { Continuity } from "./feed/continuity.ts";
import { HANDSHAKE_MS } from "./feed/handshake.ts";
import { HURRY_MS, OVERLAP_MS, PAUSES } from "./feed/line.ts";
import { Overlap } from "./feed/overlap.ts";
import { isTick } from "./tick.ts";
import type { Live, Subscription, Venue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const A: Subscription = { symbols: ["A"], channels: ["trade"] };
type Disconnected = FeedEvent & { readonly event: "disconnected" };

/** A follower whose every step the test takes. */
function followed(
  { base, venue = madeVenue(), subscription = A, retryForMs, random, ...more }:
    & { base: string; venue?: Venue; subscription?: Subscription; retryForMs?: number; random?: number }
    & Partial<Omit<Following, "base" | "signal" | "now" | "world" | "run">>,
) {
  const clock = new HandClock();
  const stop = new AbortController();
  const { world, lines } = worldOf(clock, {
    ...retryForMs === undefined ? {} : { retryForMs },
    ...random === undefined ? {} : { random },
  });
  const stream = follow(venue, subscription, { base, run: "r", signal: stop.signal, now: clock.now, world, ...more });
  const seen: Received[] = [];
  return {
    clock,
    stop,
    lines,
    seen,
    stream,
    /** Reads on to the next event of this name. */
    async until<E extends FeedEvent["event"]>(name: E): Promise<FeedEvent & { readonly event: E }> {
      for (;;) {
        const { value, done } = await stream.next();
        if (done) throw new Error(`no ${name} before the end`);
        seen.push(value);
        if (value.kind === "event" && value.event === name) return value as FeedEvent & { readonly event: E };
      }
    },
    /** Reads on to the next frame. */
    async frame(): Promise<Frame> {
      for (;;) {
        const { value, done } = await stream.next();
        if (done) throw new Error("no frame before the end");
        seen.push(value);
        if (value.kind === "frame") return value;
      }
    },
    /** Reads on to the end. */
    async rest(): Promise<Received[]> {
      const more = await Array.fromAsync(stream);
      seen.push(...more);
      return more;
    },
  };
}

/** A websocket of a host that opens it and then says and does nothing. */
async function openedBy(listener: Deno.TcpListener): Promise<Deno.TcpConn> {
  const connection = await listener.accept();
  const bytes = new Uint8Array(4_096);
  const request = new TextDecoder().decode(bytes.subarray(0, await connection.read(bytes) ?? 0));
  const key = /sec-websocket-key: (\S+)/i.exec(request)![1]!;
  const accepted = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  const answer = [...head, `Sec-WebSocket-Accept: ${accepted}`, "", ""].join("\r\n");
  await connection.write(new TextEncoder().encode(answer));
  return connection;
}

/** Waits for attempts and their pauses end at once; all others are the test's. */
const isRetry = (ms: number): boolean => ![HANDSHAKE_MS, ANSWER_MS, CLOSE_MS, OVERLAP_MS].includes(ms) && ms < 100_000;
Deno.test(
  "frames are handed over as they came, numbered, with the time of each, between the events",
  strict,
  async () => {
    await using venue = host();
    const feed = followed({ base: venue.base });
    const connected = feed.until("connected");
    const peer = await venue.peer();
    await connected;
    assert.equal(await peer.message(), '{"id":1,"subscribe":["A"]}');
    peer.send('{"s":"A","t":1}', '{"id":1,"ok":true}', new Uint8Array([0, 255]));
    await feed.until("subscribed");
    await feed.frame();
    feed.stop.abort();
    await feed.rest();
    assert.equal(await peer.closed, 1000);
    const time = { receivedTime: feed.clock.time, connection: "r.0" };
    assert.deepEqual(feed.seen, [
      { kind: "event", ...time, symbols: ["A"], event: "connected", replaces: null },
      { kind: "frame", ...time, number: 0, text: '{"s":"A","t":1}' },
      { kind: "frame", ...time, number: 1, text: '{"id":1,"ok":true}' },
      { kind: "event", ...time, symbols: ["A"], event: "subscribed" },
      { kind: "frame", ...time, number: 2, text: "AP8=" },
      {
        kind: "event",
        ...time,
        symbols: ["A"],
        event: "disconnected",
        why: "stopped",
        code: 1000,
        detail: null,
        successor: null,
      },
    ]);
  },
);

Deno.test(
  "a frame that is longer than any venue's is cut, as text and as bytes, and the next one is whole",
  strict,
  async () => {
    await using venue = host();
    const feed = followed({ base: venue.base });
    const connected = feed.until("connected");
    const peer = await venue.peer();
    await connected;
    const whole = "x".repeat(FRAME_LENGTH_MAX);
    peer.send(whole, `${whole}y`, new Uint8Array(FRAME_LENGTH_MAX), '{"s":"A","t":1}');
    const texts = [];
    for (let at = 0; at < 4; at++) texts.push((await feed.frame()).text);
    assert.deepEqual(texts.map(({ length }) => length), [...Array(3).fill(FRAME_LENGTH_MAX), 15]);
    assert.ok(texts[0] === whole && texts[1] === whole);
    feed.stop.abort();
    await feed.rest();
  },
);

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4000, 4001, 4999]) {
  Deno.test(`a socket that the venue closes with ${code} is opened and subscribed again`, strict, async () => {
    await using venue = host();
    const feed = followed({ base: venue.base });
    feed.clock.passes = isRetry;
    const first = feed.until("subscribed");
    const peer = await venue.peer();
    await peer.agree();
    await first;
    const over = feed.until("disconnected");
    await peer.close(code, "bye");
    const { why, code: heard, detail } = await over;
    assert.deepEqual([why, heard, detail], ["closed", code, "bye"]);
    const second = feed.until("subscribed");
    await (await venue.peer()).agree();
    assert.equal((await second).connection, "r.1");
    feed.stop.abort();
    await feed.rest();
    const told = new RegExp(
      `connection r\\.0 was closed \\(${code} bye\\), must stay open; trying again.*,venue serves again`,
    );
    assert.match(feed.lines.join(), told);
  });
}

for (
  const [how, words, bytes] of [
    ["ends without a word", "Unexpected EOF", []],
    ["is closed with 1014, which the runtime does not know,", "Invalid close code", [0x88, 2, 1014 >> 8, 1014 & 255]],
    ["announces a frame that no memory holds", "Frame too large", [0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]],
    ["speaks against the protocol", "Reserved bits are not zero", [0xff, 0xff, 0xff, 0xff]],
    ["sends text that is not UTF-8", "Invalid UTF-8", [0x81, 2, 0xff, 0xfe]],
  ] as const
) {
  Deno.test(`a socket that ${how} has no code, and is opened again`, strict, async () => {
    using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const feed = followed({ base: `ws://127.0.0.1:${listener.addr.port}` });
    feed.clock.passes = isRetry;
    const connected = feed.until("connected");
    const first = await openedBy(listener);
    await connected;
    const over = feed.until("disconnected");
    await first.write(Uint8Array.from(bytes));
    await first.closeWrite();
    const { why, code, detail } = await over;
    first.close();
    assert.deepEqual([why, code, detail], ["closed", null, words]);
    const again = feed.until("connected");
    using _second = await openedBy(listener);
    await again;
    feed.stop.abort();
    const end = feed.rest();
    await feed.clock.pass(CLOSE_MS);
    await end;
  });
}

Deno.test("pauses are of full jitter, grow to a minute, and end with one line", strict, async () => {
  for (const random of [0.25, 0.5, 0.99]) {
    await using venue = host(() => new Response("", { status: 503 }));
    const feed = followed({ base: venue.base, random });
    feed.clock.passes = (ms) => ms !== HANDSHAKE_MS;
    await assert.rejects(feed.rest(), (error: unknown) => {
      assert.ok(error instanceof Outage);
      return /^Outage: Cannot follow "made": ws:\/\/127\.0\.0\.1:\d+ answers 503, must open a websocket$/.test(
        String(error),
      );
    });
    const pauses = feed.clock.waits.filter((ms) => ms !== HANDSHAKE_MS);
    const bounds = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000].map((ms) =>
      1 + Math.floor(random * ms)
    );
    // Between them, the turn to connect is waited for where the pause was shorter than a second.
    const drawn = pauses.filter((ms) => bounds.includes(ms));
    assert.deepEqual(drawn.slice(0, 9), bounds);
    assert.ok(Math.max(...pauses) <= PAUSES.msMax);
    assert.equal(feed.lines.length, 1);
  }
});

for (const status of [403, 418, 429]) {
  Deno.test(`a venue that answers ${status} is left alone for as long as it takes`, strict, async () => {
    await using venue = host((attempt) => attempt < 2 ? new Response("<html>", { status }) : null);
    const feed = followed({ base: venue.base, random: 0.999 });
    feed.clock.passes = isRetry;
    const connected = feed.until("connected");
    await venue.peer();
    await connected;
    const pauses = feed.clock.waits.filter((ms) => isRetry(ms));
    assert.deepEqual(pauses, [59_971, 59_971]);
    feed.stop.abort();
    await feed.rest();
    assert.match(feed.lines[0]!, new RegExp(`answers ${status}, must open a websocket; trying again`));
  });
}

Deno.test(
  "an answer of HTML where a websocket should be is an outage, and what speaks no HTTP as well",
  strict,
  async () => {
    await using venue = host(() => new Response("<html>maintenance</html>"));
    await assert.rejects(followed({ base: venue.base, retryForMs: 0 }).rest(), /answers 200, must open a websocket/);
    using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const feed = followed({ base: `ws://127.0.0.1:${listener.addr.port}`, retryForMs: 0 }).rest();
    using connection = await listener.accept();
    await connection.write(new TextEncoder().encode("220 mail\r\n\r\n"));
    await assert.rejects(feed, /cannot be reached \(.+\), must be reachable/);
  },
);

Deno.test("a token that is refused is misuse, told once, never shown and never tried again", strict, async () => {
  await using venue = host(() => new Response("", { status: 401 }));
  const made = madeVenue({ secret: "MADE_TOKEN" });
  const feed = followed({ base: venue.base, venue: made, token: "se/cret" });
  await assert.rejects(feed.rest(), (error: unknown) => {
    assert.ok(error instanceof Misuse);
    assert.equal(
      String(error),
      `Misuse: Cannot follow "made": ${venue.base} refuses the token (401), must be given in MADE_TOKEN one that it knows`,
    );
    return !/se.{1,3}cret/.test(Deno.inspect(error));
  });
  assert.equal(venue.attempts(), 1);
  assert.deepEqual(feed.lines, []);
  await assert.rejects(followed({ base: venue.base, venue: made }).rest(), /^Misuse: .*MADE_TOKEN is not set/);
});

Deno.test(
  "a venue that repeats the token does not make it shown, and one that is none masks no words",
  strict,
  async () => {
    for (
      const [token, said, shown] of [
        ["se/cretly", "not se/cretly nor se%2Fcretly", "not *** nor ***"],
        ["o", "not so", "not so"],
      ] as const
    ) {
      await using venue = host();
      const feed = followed({ base: venue.base, venue: madeVenue({ secret: "MADE_TOKEN" }), token, retryForMs: 0 });
      const over = feed.until("disconnected");
      const peer = await venue.peer();
      assert.equal(new URL(peer.url).searchParams.get("token"), token);
      await peer.close(4001, said);
      assert.equal((await over).detail, shown);
      await assert.rejects(feed.rest(), Outage);
    }
  },
);

Deno.test("what cannot be asked for is misuse before anything is opened", strict, async () => {
  const { live: _live, ...deaf } = madeVenue();
  const of = (more: Partial<Parameters<typeof followed>[0]>) => followed({ base: "ws://127.0.0.1:1", ...more }).rest();
  await assert.rejects(of({ venue: deaf }), /^Misuse: .*known by its files alone/);
  await assert.rejects(of({ subscription: { symbols: ["A"], channels: ["book"] } }), /^Misuse: .*no channel "book"/);
  await assert.rejects(of({ subscription: { symbols: [], channels: ["trade"] } }), /^Misuse: .*nothing is asked for/);
  await assert.rejects(of({ base: "http://me:secret@x/?y" }), /^Misuse: .*its base is "http:\/\/\*\*\*@x\/\?…"/);
});

Deno.test(
  "a host that is not there is tried for as long as the world allows, and then told in one line",
  strict,
  async () => {
    // A port that was just given back.
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr;
    listener.close();
    const feed = followed({ base: `ws://127.0.0.1:${port}`, retryForMs: 30_000 });
    feed.clock.passes = (ms) => ms !== HANDSHAKE_MS;
    const began = feed.clock.time;
    await assert.rejects(
      feed.rest(),
      /^Outage: Cannot follow "made": ws:.* cannot be reached \(tcp connect error\), must be reachable$/,
    );
    assert.ok(feed.clock.time - began >= 30_000_000);
    assert.equal(feed.lines.length, 1);
  },
);

Deno.test("a peer that takes the connection and never answers is given up after a while", strict, async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const feed = followed({ base: `ws://127.0.0.1:${listener.addr.port}`, retryForMs: 0 });
  const end = feed.rest();
  using _connection = await listener.accept();
  await feed.clock.pass(HANDSHAKE_MS);
  await assert.rejects(end, /cannot be reached \(no answer within 15 s\)/);
});

Deno.test("a socket that is open but silent is replaced at once", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base, silentMs: 7_000 });
  const subscribed = feed.until("subscribed");
  const peer = await venue.peer();
  await peer.agree();
  await subscribed;
  const silent = feed.until("silent");
  await feed.clock.pass(7_000);
  await silent;
  const { why } = await feed.until("disconnected");
  assert.equal(why, "silent");
  feed.stop.abort();
  await feed.rest();
  await peer.closed;
});

Deno.test(
  "a socket of a venue that should beat is silent whoever does not trade, unless the venue rests",
  strict,
  async () => {
    await using venue = host();
    let rests = true;
    const live = { isBeat: (frame: string) => frame === "beat", resting: () => () => rests };
    const feed = followed({ base: venue.base, venue: madeVenue(live), silentMs: 7_000, isQuiet: () => true });
    const subscribed = feed.until("subscribed");
    await (await venue.peer()).agree();
    await subscribed;
    const silent = feed.until("silent");
    await feed.clock.pass(7_000);
    await feed.clock.waiting(7_000);
    rests = false;
    feed.clock.go(7_000);
    assert.equal((await silent).connection, "r.0");
    feed.stop.abort();
    await feed.rest();
  },
);

Deno.test("a host that died behind an open socket does not delay the next attempt", strict, async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const feed = followed({ base: `ws://127.0.0.1:${listener.addr.port}`, silentMs: 7_000, retryForMs: 0 });
  const connected = feed.until("connected");
  using _connection = await openedBy(listener);
  await connected;
  const end = feed.rest();
  await feed.clock.pass(7_000);
  await assert.rejects(end, /^Outage: .* connection r\.0 was silent for 7 s, must speak/);
});

Deno.test("a frame in time keeps a socket, and so does the pause of a session", strict, async () => {
  await using venue = host();
  let isQuiet = true;
  const feed = followed({ base: venue.base, silentMs: 7_000, isQuiet: () => isQuiet });
  const subscribed = feed.until("subscribed");
  const peer = await venue.peer();
  await peer.agree();
  await subscribed;
  await feed.clock.waiting(7_000);
  feed.clock.go(3_000);
  const frame = feed.frame();
  peer.send("something");
  await frame;
  // 7 s after that, not after the first.
  feed.clock.go(4_000);
  await feed.clock.pass(3_000);
  // Nobody expects it to speak; but then they do.
  await feed.clock.waiting(7_000);
  isQuiet = false;
  const silent = feed.until("silent");
  await feed.clock.pass(7_000);
  await silent;
  feed.stop.abort();
  await feed.rest();
  await peer.closed;
});

Deno.test("whoever rests, as the last beat has it, is not missed", strict, async () => {
  await using venue = host();
  const isBeat = (frame: string): boolean => frame.startsWith("rest");
  const asked: (string | undefined)[] = [];
  const resting: Live["resting"] = (_time, beat) => {
    asked.push(beat?.frame);
    return (symbol) => beat?.frame === `rest ${symbol}`;
  };
  const feed = followed({ base: venue.base, venue: madeVenue({ isBeat, resting, silentMs: 7_000 }) });
  const subscribed = feed.until("subscribed");
  const peer = await venue.peer();
  await peer.agree();
  await subscribed;
  const frame = feed.frame();
  peer.send("rest A");
  await frame;
  await feed.clock.pass(7_000);
  const other = feed.frame();
  peer.send("rest B");
  await other;
  const silent = feed.until("silent");
  await feed.clock.pass(7_000);
  await silent;
  assert.deepEqual(asked, ["rest A", "rest B"]);
  feed.stop.abort();
  await feed.rest();
  await peer.closed;
});

Deno.test("a venue that wants to hear something hears it as often as it wants", strict, async () => {
  await using venue = host();
  const made = madeVenue({ heartbeat: { message: "ping", everyMs: 3_000 } });
  const feed = followed({ base: venue.base, venue: made });
  const connected = feed.until("connected");
  const peer = await venue.peer();
  await connected;
  await peer.message();
  for (let beat = 0; beat < 3; beat++) {
    await feed.clock.pass(3_000);
    assert.equal(await peer.message(), "ping");
  }
  feed.stop.abort();
  await feed.rest();
});

Deno.test(
  "pauses go on growing while connections do not last, and begin anew behind one that did",
  strict,
  async () => {
    await using venue = host();
    const feed = followed({ base: venue.base });
    for (const [lastsMs, pause] of [[0, 251], [10_000, 501], [59_999, 1_001], [60_000, 251]] as const) {
      const frame = feed.frame();
      const peer = await venue.peer();
      peer.send("something");
      await frame;
      feed.clock.go(lastsMs);
      const over = feed.until("disconnected");
      await peer.close(1001);
      await over;
      await feed.clock.waiting(pause);
      // The turn to connect is past as well then.
      feed.clock.go(2_000);
    }
    const connected = feed.until("connected");
    await venue.peer();
    await connected;
    feed.stop.abort();
    await feed.rest();
  },
);

/** Three symbols a message at most. */
const inThrees: Live["subscribe"] = ({ symbols }, id) =>
  chunksOf(symbols, 3).map((chunk, at) => JSON.stringify({ id: id + at, subscribe: chunk }));

Deno.test(
  "many symbols go over several sockets, one after the other, each as many as the venue bounds",
  strict,
  async () => {
    await using venue = host();
    const symbols = ["A", "B", "C", "D", "E", "A"];
    const made = madeVenue({ topicsMax: 8 });
    const feed = followed({ base: venue.base, venue: made, subscription: { symbols, channels: ["trade", "quote"] } });
    const first = feed.until("connected");
    await venue.peer();
    assert.deepEqual((await first).symbols, ["A", "B", "C", "D"]);
    const second = feed.until("connected");
    await feed.clock.pass(1_000);
    await venue.peer();
    assert.deepEqual((await second).symbols, ["E"]);
    feed.stop.abort();
    await feed.rest();
  },
);

Deno.test(
  "where each instrument counts once, as many of them go over one socket, whatever is asked",
  strict,
  async () => {
    await using venue = host();
    const made = madeVenue({ topicsMax: 2, symbolsMax: (channels) => channels.length + 1 });
    const feed = followed({
      ...{ base: venue.base, venue: made },
      subscription: { symbols: ["A", "B", "C", "D"], channels: ["trade", "quote"] },
    });
    const first = feed.until("connected");
    await venue.peer();
    assert.deepEqual((await first).symbols, ["A", "B", "C"]);
    feed.stop.abort();
    await feed.rest();
  },
);

Deno.test("a subscription is cut as the venue cuts it, and sent at its pace less one for pongs", strict, async () => {
  await using venue = host();
  const made = madeVenue({ messagesPerSecond: 3, subscribe: inThrees });
  const symbols = ["A", "B", "C", "D", "E", "F", "G", "H"];
  const feed = followed({ base: venue.base, venue: made, subscription: { symbols, channels: ["trade"] } });
  const connected = feed.until("connected");
  const peer = await venue.peer();
  await connected;
  assert.deepEqual(JSON.parse(await peer.message()), { id: 1, subscribe: ["A", "B", "C"] });
  assert.deepEqual(JSON.parse(await peer.message()), { id: 2, subscribe: ["D", "E", "F"] });
  await feed.clock.pass(1_000);
  assert.deepEqual(JSON.parse(await peer.message()), { id: 3, subscribe: ["G", "H"] });
  feed.stop.abort();
  await feed.rest();
});

Deno.test("what is asked is sent in the order in which it is answered, whatever comes meanwhile", strict, async () => {
  await using venue = host();
  const made = madeVenue({ messagesPerSecond: 2 });
  const feed = followed({ base: venue.base, venue: made, subscription: { symbols: ["A", "B"], channels: ["trade"] } });
  const connected = feed.until("connected");
  const peer = await venue.peer();
  await connected;
  assert.deepEqual(JSON.parse(await peer.message()).subscribe, ["A", "B"]);
  peer.send('{"no":"one of them"}', '{"ok":true}');
  await feed.frame();
  await feed.frame();
  await feed.clock.waiting(1_000);
  // Nobody waits for the turn behind that one.
  assert.ok(!feed.clock.waits.includes(2_000));
  for (const symbol of ["A", "B"]) {
    await feed.clock.pass(1_000);
    assert.deepEqual(JSON.parse(await peer.message()).subscribe, [symbol]);
  }
  feed.stop.abort();
  await feed.rest();
});

Deno.test("who is asked again has as long to answer as who was asked first", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base, subscription: { symbols: ["A", "B"], channels: ["trade"] } });
  const connected = feed.until("connected");
  const peer = await venue.peer();
  await connected;
  await peer.message();
  await feed.clock.waiting(ANSWER_MS);
  feed.clock.go(ANSWER_MS - 1_000);
  peer.send('{"id":1,"no":"one of them"}');
  await peer.message();
  await peer.message();
  // Both waits are there: the first one is over in a second.
  feed.clock.go(1_000);
  peer.send("data", '{"id":2,"ok":true}', '{"id":3,"ok":true}');
  await feed.until("subscribed");
  assert.deepEqual(feed.seen.map((one) => one.kind === "frame" ? one.text : one.event), [
    "connected",
    '{"id":1,"no":"one of them"}',
    "data",
    '{"id":2,"ok":true}',
    '{"id":3,"ok":true}',
    "subscribed",
  ]);
  feed.stop.abort();
  await feed.rest();
});

Deno.test("a symbol that is refused is told in the venue's words, and the others go on", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base, subscription: { symbols: ["A", "NO", "B"], channels: ["trade"] } });
  const refused = feed.until("refused");
  const peer = await venue.peer();
  assert.deepEqual(JSON.parse(await peer.message()), { id: 1, subscribe: ["A", "NO", "B"] });
  peer.send('{"id":1,"no":"bad symbol in list"}');
  for (const [id, symbol] of [[2, "A"], [3, "NO"], [4, "B"]] as const) {
    assert.deepEqual(JSON.parse(await peer.message()), { id, subscribe: [symbol] });
    peer.send(symbol === "NO" ? `{"id":${id},"no":"no such symbol"}` : `{"id":${id},"ok":true}`);
  }
  const { symbols, detail } = await refused;
  assert.deepEqual([symbols, detail], [["NO"], "no such symbol"]);
  assert.deepEqual((await feed.until("subscribed")).symbols, ["A", "B"]);
  assert.deepEqual(feed.lines, ['made refuses "NO": no such symbol']);
  feed.stop.abort();
  await feed.rest();
});

Deno.test(
  "a venue that names whom it refuses is believed, and one that refuses everybody is misuse",
  strict,
  async () => {
    await using venue = host();
    const feed = followed({ base: venue.base, subscription: { symbols: ["A", "B"], channels: ["trade"] } });
    const end = feed.rest();
    const peer = await venue.peer();
    await peer.message();
    peer.send('{"of":["A"],"no":"unknown"}', '{"of":["B"],"no":"unknown as well"}');
    assert.equal(await peer.closed, 1000);
    await assert.rejects(
      end,
      /^Misuse: Cannot follow "made": it refuses every symbol \(unknown as well\), must be asked/,
    );
    assert.equal(venue.attempts(), 1);
  },
);

Deno.test("a venue that answers nothing has agreed once it speaks", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base });
  const subscribed = feed.until("subscribed");
  const peer = await venue.peer();
  await peer.message();
  await feed.clock.pass(ANSWER_MS);
  peer.send('{"s":"A","t":1}');
  await subscribed;
  feed.stop.abort();
  await feed.rest();
});

Deno.test(
  "before a venue ends a connection another one stands beside it, and no trade is lost or doubled",
  strict,
  async () => {
    await using venue = host();
    const made = madeVenue({ lifetimeMs: 1_000_000, silentMs: 5_000_000 });
    const feed = followed({ base: venue.base, venue: made });
    const first = feed.until("subscribed");
    const old = await venue.peer();
    await old.agree();
    await first;
    const trades = (from: number, to: number): string[] =>
      Array.from({ length: to - from + 1 }, (_, at) => `{"s":"A","t":${from + at}}`);
    old.send(...trades(1, 50));
    // A tenth of its life before its end, and by chance half as much again.
    const second = feed.until("subscribed");
    await feed.clock.pass(850_000);
    const young = await venue.peer();
    // It tells some of what was before, and is ahead of the old one.
    await young.agree();
    young.send(...trades(41, 80));
    assert.equal((await second).connection, "r.1");
    for (let at = 0; at < 40; at++) await feed.frame();
    const heard = feed.frame();
    old.send(...trades(51, 83));
    await heard;
    const over = feed.until("disconnected");
    await feed.clock.pass(OVERLAP_MS);
    assert.equal(await old.closed, 1000);
    const { why, successor } = await over;
    assert.deepEqual([why, successor], ["rollover", "r.1"]);
    young.send(...trades(81, 100));
    for (let at = 0; at < 20; at++) await feed.frame();
    feed.stop.abort();
    await feed.rest();

    const overlap = new Overlap(made);
    const continuity = new Continuity(made);
    const counted: (number | null)[] = [];
    const states: string[] = [];
    let frames = 0;
    for (const received of feed.seen) {
      const ticks = received.kind === "event"
        ? overlap.event(received)
        : overlap.ticks(received.connection, made.map(received.text, received.receivedTime).ticks);
      if (received.kind === "frame") frames++;
      const statuses = received.kind === "event"
        ? [...continuity.ticks(ticks, received.receivedTime), ...continuity.event(received)]
        : continuity.ticks(ticks, received.receivedTime);
      assert.ok(statuses.every(isTick));
      states.push(...statuses.map(({ state }) => state));
      counted.push(...ticks.map(({ sequence }) => sequence));
    }
    assert.equal(frames, 83 + 60 + 2);
    assert.deepEqual(counted, Array.from({ length: 100 }, (_, at) => at + 1));
    assert.deepEqual(states, ["connected", "subscribed", "connected", "subscribed", "disconnected"]);
  },
);

Deno.test(
  "one whose end the venue announces has another beside it at once, and soon again where that fails",
  strict,
  async () => {
    await using venue = host((attempt) => attempt === 1 ? new Response("", { status: 503 }) : null);
    const made = madeVenue({ isEnding: (frame) => frame === "ends", silentMs: 5_000_000 });
    const feed = followed({ base: venue.base, venue: made });
    const first = feed.until("subscribed");
    const old = await venue.peer();
    await old.agree();
    await first;
    const frame = feed.frame();
    old.send("ends");
    assert.equal((await frame).text, "ends");
    const second = feed.until("subscribed");
    // As far from the attempt before as any.
    await feed.clock.pass(1_000);
    await feed.clock.pass(HURRY_MS);
    const young = await venue.peer();
    await young.agree();
    assert.equal((await second).connection, "r.1");
    const heard = feed.frame();
    old.send('{"s":"A","t":2}');
    await heard;
    const over = feed.until("disconnected");
    await feed.clock.pass(OVERLAP_MS);
    const { connection, why, successor } = await over;
    assert.deepEqual([connection, why, successor], ["r.0", "rollover", "r.1"]);
    // Announced on the one in its place as well, whose time is not yet over.
    const third = feed.until("connected");
    young.send("ends");
    assert.deepEqual([(await third).replaces, venue.attempts()], ["r.1", 4]);
    feed.stop.abort();
    await feed.rest();
  },
);

Deno.test("an end that is announced while there was no hurry makes haste", strict, async () => {
  await using venue = host((attempt) => attempt === 1 ? new Response("", { status: 503 }) : null);
  const made = madeVenue({ isEnding: (frame) => frame === "ends", lifetimeMs: 1_000_000, silentMs: 5_000_000 });
  const feed = followed({ base: venue.base, venue: made });
  const first = feed.until("subscribed");
  const old = await venue.peer();
  await old.agree();
  await first;
  const second = feed.until("connected");
  await feed.clock.pass(850_000);
  await feed.clock.waiting(PAUSES.msMax);
  old.send("ends");
  await feed.clock.pass(1_000);
  assert.equal((await second).replaces, "r.0");
  feed.stop.abort();
  await feed.rest();
});

Deno.test("one that says nothing more beside the one in its place may have been forgotten before", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base, venue: madeVenue({ lifetimeMs: 1_000_000, silentMs: 5_000_000 }) });
  const first = feed.until("subscribed");
  const old = await venue.peer();
  await old.agree();
  await first;
  const second = feed.until("subscribed");
  await feed.clock.pass(850_000);
  await (await venue.peer()).agree();
  await second;
  const over = feed.until("disconnected");
  await feed.clock.pass(OVERLAP_MS);
  const { why, successor } = await over;
  assert.deepEqual([why, successor], ["quiet", "r.1"]);
  feed.stop.abort();
  await feed.rest();
});

Deno.test("a connection that only beats is replaced by another beside it", strict, async () => {
  await using venue = host();
  const made = madeVenue({ isBeat: (frame) => frame === "beat", silentMs: 5_000_000 });
  let isQuiet = true;
  const feed = followed({ base: venue.base, venue: made, isQuiet: () => isQuiet });
  const first = feed.until("subscribed");
  const old = await venue.peer();
  await old.agree();
  await first;
  // Nobody expects it to speak; but then they do.
  await feed.clock.pass(QUIET_MS);
  await feed.clock.waiting(QUIET_MS);
  isQuiet = false;
  feed.clock.go(QUIET_MS - 1_000);
  let frame = feed.frame();
  old.send('{"s":"A","t":1}');
  await frame;
  feed.clock.go(1_000);
  await feed.clock.waiting(QUIET_MS - 1_000);
  frame = feed.frame();
  old.send("beat");
  await frame;
  const second = feed.until("subscribed");
  await feed.clock.pass(QUIET_MS - 1_000);
  const young = await venue.peer();
  await young.agree();
  assert.equal((await second).connection, "r.1");
  frame = feed.frame();
  old.send('{"s":"A","t":2}');
  await frame;
  const over = feed.until("disconnected");
  await feed.clock.pass(OVERLAP_MS);
  assert.equal(await old.closed, 1000);
  const { why, successor } = await over;
  assert.deepEqual([why, successor], ["quiet", "r.1"]);
  feed.stop.abort();
  await feed.rest();
});

Deno.test("an old connection that ends by itself beside a new one leaves its place to it", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base, venue: madeVenue({ lifetimeMs: 1_000_000, silentMs: 5_000_000 }) });
  const first = feed.until("subscribed");
  const old = await venue.peer();
  await old.agree();
  await first;
  const second = feed.until("connected");
  await feed.clock.pass(850_000);
  const young = await venue.peer();
  await second;
  const over = feed.until("disconnected");
  await old.close(1001);
  assert.equal((await over).successor, null);
  const subscribed = feed.until("subscribed");
  await young.agree();
  assert.equal((await subscribed).connection, "r.1");
  assert.equal(venue.attempts(), 2);
  feed.stop.abort();
  await feed.rest();
});

Deno.test("a new connection that fails leaves the old one in its place, and another one is tried", strict, async () => {
  await using venue = host((attempt) => attempt === 1 ? new Response("", { status: 500 }) : null);
  const feed = followed({ base: venue.base, venue: madeVenue({ lifetimeMs: 1_000_000, silentMs: 5_000_000 }) });
  const first = feed.until("subscribed");
  const old = await venue.peer();
  await old.agree();
  await first;
  const second = feed.until("connected");
  await feed.clock.pass(850_000);
  await feed.clock.pass(PAUSES.msMax);
  const young = await venue.peer();
  assert.equal((await second).replaces, "r.0");
  // Even one that was subscribed already.
  const subscribed = feed.until("subscribed");
  await young.agree();
  assert.equal((await subscribed).connection, "r.1");
  await feed.clock.waiting(OVERLAP_MS);
  const over = feed.until("disconnected");
  await young.close(1011);
  assert.equal((await over).connection, "r.1");
  const frame = feed.frame();
  old.send('{"s":"A","t":1}');
  assert.equal((await frame).connection, "r.0");
  const end = feed.until("disconnected");
  await old.close(1001);
  const { connection, successor } = await end;
  assert.deepEqual([connection, successor], ["r.0", null]);
  feed.stop.abort();
  await feed.rest();
});

Deno.test(
  "a reader who is too slow loses the connection, not the memory, and gets it back when it has caught up",
  strict,
  async () => {
    await using venue = host();
    const feed = followed({ base: venue.base, queueMax: 10 });
    const connected = feed.until("connected");
    const peer = await venue.peer();
    await connected;
    peer.send(...Array.from({ length: 1_000 }, (_, at) => `{"s":"A","t":${at}}`));
    await peer.closed;
    await feed.clock.pass(251);
    for (let at = 0; at < 5; at++) await feed.frame();
    // The next turn to connect is not even waited for: six things wait to be read, of ten.
    assert.ok(!feed.clock.waits.includes(749));
    const over = feed.until("disconnected");
    await feed.clock.pass(749);
    const { why } = await over;
    assert.deepEqual([why, feed.seen.filter(({ kind }) => kind === "frame").length], ["overflow", 10]);
    const again = feed.until("connected");
    await venue.peer();
    await again;
    feed.stop.abort();
    await feed.rest();
  },
);

Deno.test("a reader who stops early closes the sockets", strict, async () => {
  await using venue = host();
  const feed = followed({ base: venue.base });
  const connected = feed.until("connected");
  const peer = await venue.peer();
  await connected;
  await feed.stream.return();
  assert.equal(await peer.closed, 1000);
});

Deno.test("a venue that does not close its side is waited for, and not for ever", strict, async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const feed = followed({ base: `ws://127.0.0.1:${listener.addr.port}` });
  const connected = feed.until("connected");
  using _connection = await openedBy(listener);
  await connected;
  feed.stop.abort();
  const rest = feed.rest();
  await feed.clock.pass(CLOSE_MS);
  const [over] = await rest as [Disconnected];
  assert.deepEqual([over.why, over.code], ["stopped", null]);
});

Deno.test(
  "every wait ends when it is asked to: before, between and in attempts, and while the reader is behind",
  strict,
  async () => {
    await using refusing = host(() => new Response("", { status: 429 }));
    const early = followed({ base: refusing.base });
    early.stop.abort();
    assert.deepEqual(await early.rest(), []);
    assert.equal(refusing.attempts(), 0);

    const between = followed({ base: refusing.base });
    const crowded = between.rest();
    await between.clock.waiting(45_001);
    between.stop.abort();
    assert.deepEqual(await crowded, []);

    using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const opening = followed({ base: `ws://127.0.0.1:${listener.addr.port}` });
    const opened = opening.rest();
    using _connection = await listener.accept();
    await opening.clock.waiting(HANDSHAKE_MS);
    opening.stop.abort();
    assert.deepEqual(await opened, []);

    await using venue = host();
    const turn = followed({
      base: venue.base,
      venue: madeVenue({ topicsMax: 1 }),
      subscription: { symbols: ["A", "B"], channels: ["trade"] },
    });
    const turned = turn.until("connected");
    await venue.peer();
    await turned;
    await turn.clock.waiting(1_000);
    turn.stop.abort();
    await turn.rest();
    assert.equal(venue.attempts(), 1);

    const slow = followed({ base: venue.base, queueMax: 2 });
    slow.clock.passes = isRetry;
    const began = slow.until("connected");
    const peer = await venue.peer();
    await began;
    peer.send("1", "2", "3", "4");
    await peer.closed;
    slow.stop.abort();
    await slow.rest();
  },
);
