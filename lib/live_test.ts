/** What a live source asks a venue for, against a host on this machine. */
import assert from "@std/assert";
import { HandClock, host, madeVenue, worldOf } from "../testdata/peer.ts";
import { PAUSES } from "./feed/line.ts";
import { LiveSource } from "./live.ts";
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
