/** What a venue is asked by REST, against a server on this machine. */
import assert from "@std/assert";
import { HandClock, madeVenue, worldOf } from "../testdata/peer.ts";
import { Misuse, Outage } from "./failure.ts";
import { type Asker, REPLY_MS, RestClient } from "./feed/rest.ts";
import type { Rest } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const REST: Rest = {
  base: "https://venue.invalid",
  snapshot: (symbol) => `/depth?symbol=${symbol}`,
  trades: (symbol, fromId) => `/trades?symbol=${symbol}&from=${fromId}`,
  requestsPerMinute: 20,
};
const venue = madeVenue({ rest: REST });

/** A server whose answers the test gives, by the number of the request from 0, and a client of it. */
function asked(answer: (n: number, request: Request) => Response | Promise<Response>, more: Partial<Asker> = {}) {
  const requests: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    requests.push(new URL(request.url).pathname + new URL(request.url).search);
    return answer(requests.length - 1, request);
  });
  const clock = new HandClock();
  clock.passes = (ms) => ms !== REPLY_MS;
  const { world, lines } = worldOf(clock);
  const base = `http://127.0.0.1:${server.addr.port}`;
  const client = new RestClient(venue, { base, run: "r", now: clock.now, world, ...more });
  const stop = new AbortController();
  return { base, client, clock, lines, requests, stop, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("an answer is a frame with its request, and when it was asked and seen", strict, async () => {
  let tick = 0;
  const now = (): number => 1_700_000_000_000_000 + tick++;
  await using rest = asked((n) => new Response(`{"n":${n},"ö":1.10}`), { now });
  const { requestedTime, receivedTime, ...reply } = await rest.client.snapshot("A", rest.stop.signal);
  assert.ok(requestedTime < receivedTime);
  const request = `${rest.base}/depth?symbol=A`;
  assert.deepEqual(reply, { kind: "frame", connection: "r.rest", number: 0, request, text: '{"n":0,"ö":1.10}' });
  const { number, request: second } = await rest.client.trades("A", "7", rest.stop.signal);
  assert.deepEqual([number, second], [1, `${rest.base}/trades?symbol=A&from=7`]);
});

Deno.test("whoever asks waits for his turn, at the venue's pace", strict, async () => {
  await using rest = asked(() => new Response("{}"));
  const began = rest.clock.time;
  await Promise.all(["A", "B", "C", "D"].map((symbol) => rest.client.snapshot(symbol, rest.stop.signal)));
  assert.deepEqual(rest.requests, ["A", "B", "C", "D"].map((symbol) => `/depth?symbol=${symbol}`));
  assert.equal(rest.clock.time - began, 9_000_000);
});

Deno.test("a venue that is crowded says for how long it wants to be left alone, and is", strict, async () => {
  for (
    const [status, after, pause] of [
      [429, "120", 120_001],
      [429, null, 45_001],
      [403, null, 45_001],
      [503, "7", 33_501],
      [429, new Date(1_700_000_090_000).toUTCString(), 90_001],
    ] as const
  ) {
    const headers: HeadersInit = after === null ? {} : { "retry-after": after };
    await using rest = asked((n) => n === 0 ? new Response("slow down", { status, headers }) : new Response("{}"));
    await rest.client.snapshot("A", rest.stop.signal);
    assert.deepEqual(rest.clock.waits.filter((ms) => ms !== REPLY_MS), [pause], `${status} ${after}`);
    assert.match(rest.lines[0]!, new RegExp(`answers ${status} \\(slow down\\)`));
  }
});

Deno.test("a venue that asks for longer than an outage may last is not asked again", strict, async () => {
  await using rest = asked(() => new Response("", { status: 429, headers: { "retry-after": "86400" } }));
  await assert.rejects(
    rest.client.snapshot("A", rest.stop.signal),
    /^Outage: Cannot ask venue "made" for \/depth\?symbol=A: .* answers 429 .*, must be left alone; may be asked again in 86400 s, and --retry-for leaves \d+ s$/,
  );
  assert.equal(rest.requests.length, 1);
});

Deno.test("after a ban nothing is asked any more", strict, async () => {
  await using rest = asked(() => new Response("banned", { status: 418 }));
  const ban = /^Outage: Cannot ask venue "made" for \/depth\?symbol=A: .* answers 418 \(banned\), must not be asked/;
  await assert.rejects(rest.client.snapshot("A", rest.stop.signal), ban);
  await assert.rejects(rest.client.snapshot("B", rest.stop.signal), ban);
  assert.equal(rest.requests.length, 1);
});

Deno.test("a ban says for how long it is", strict, async () => {
  await using rest = asked(() => new Response("banned", { status: 418, headers: { "retry-after": "120" } }));
  await assert.rejects(
    rest.client.snapshot("A", rest.stop.signal),
    /must not be asked until its ban is over, in 120 s$/,
  );
});

Deno.test("a request that is wrong is misuse and does not stop those behind it", strict, async () => {
  await using rest = asked((n) =>
    n === 0 ? new Response('{"msg":"Invalid symbol."}', { status: 400 }) : new Response("{}")
  );
  const wrong = rest.client.snapshot("NO", rest.stop.signal);
  const right = rest.client.snapshot("A", rest.stop.signal);
  await assert.rejects(
    wrong,
    /^Misuse: .* answers 400 \(\{"msg":"Invalid symbol\."\}\), must be asked for what it has/,
  );
  assert.equal((await right).text, "{}");
  await assert.rejects(rest.client.instruments(rest.stop.signal), Misuse);
});

Deno.test("failures of the server and of the net are tried again, a redirect is not followed", strict, async () => {
  await using rest = asked((n) => {
    if (n === 0) return new Response("", { status: 502 });
    return n === 1 ? new Response("", { status: 302, headers: { location: "/elsewhere" } }) : new Response("{}");
  });
  await rest.client.snapshot("A", rest.stop.signal);
  assert.deepEqual(new Set(rest.requests), new Set(["/depth?symbol=A"]));
  assert.equal(rest.requests.length, 3);
  const { clock } = rest;
  const { world } = worldOf(clock, { retryForMs: 10_000 });
  const deaf = new RestClient(venue, { base: "http://127.0.0.1:1", run: "r", now: clock.now, world });
  await assert.rejects(deaf.snapshot("A", rest.stop.signal), /^Outage: .*cannot be reached/);
  // Its cause is told, without the address that stands before it.
  const secret = new RestClient(venue, { base: rest.base.replace("http:", "https:"), run: "r", now: clock.now, world });
  await assert.rejects(
    secret.snapshot("A", rest.stop.signal),
    /: https:\/\/127\.0\.0\.1:\d+ cannot be reached \(received corrupt message of type \w+\), must answer$/,
  );
});

Deno.test("an answer that is longer than any is not read to its end, and tried again", strict, async () => {
  const piece = new Uint8Array(1 << 20);
  let sent = 0;
  await using rest = asked((n) =>
    n > 0 ? new Response("{}") : new Response(
      new ReadableStream({
        pull(controller) {
          sent++;
          controller.enqueue(piece);
        },
      }),
    )
  );
  assert.equal((await rest.client.snapshot("A", rest.stop.signal)).text, "{}");
  assert.match(rest.lines[0]!, /its answer has over 16777216 bytes/);
  assert.ok(sent < 64, `${sent}`);
});

Deno.test("an answer that does not come is given up, and a stop ends every wait with its reason", strict, async () => {
  const arrived = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const end = Promise.withResolvers<void>();
  await using rest = asked((n) => {
    arrived[n]!.resolve();
    return end.promise.then(() => new Response("late"));
  });
  const asking = rest.client.snapshot("A", rest.stop.signal);
  const queued = rest.client.snapshot("B", rest.stop.signal);
  const refused = [assert.rejects(asking, /stopped/), assert.rejects(queued, /stopped/)];
  await arrived[0]!.promise;
  await rest.clock.pass(REPLY_MS);
  await arrived[1]!.promise;
  rest.stop.abort(new Outage("stopped"));
  await Promise.all(refused);
  end.resolve();
  assert.match(rest.lines[0]!, /no answer within 30 s/);
});

Deno.test("a venue without REST, or a base that is none, is misuse", strict, () => {
  const { world } = worldOf(new HandClock());
  const asker = { run: "r", now: () => 0, world };
  assert.throws(() => new RestClient(madeVenue(), asker), /^Misuse: .*has no REST/);
  assert.throws(
    () => new RestClient(venue, { ...asker, base: "https://x/y?z" }),
    /^Misuse: .*its base is "https:\/\/x\/y\?…"/,
  );
});
