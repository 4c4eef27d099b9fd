/** How often a book is subscribed to again. */
import assert from "@std/assert";
import { HandClock } from "../testdata/peer.ts";
import { RENEWAL_MS, Renewals } from "./feed/renewals.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;

Deno.test(
  "a book that is never satisfied is subscribed to again at once, and then once in a while",
  strict,
  async () => {
    const clock = new HandClock();
    const renewals = new Renewals(clock);
    const heard: string[] = [];
    const over = new AbortController();
    renewals.hear((symbol) => heard.push(symbol), over.signal);
    await renewals.ask("A", over.signal);
    assert.deepEqual(heard, ["A"]);
    const again = renewals.ask("A", over.signal);
    await renewals.ask("A", over.signal);
    await renewals.ask("B", over.signal);
    assert.deepEqual(heard, ["A", "B"]);
    await clock.pass(RENEWAL_MS);
    await again;
    assert.deepEqual(heard, ["A", "B", "A"]);
    const never = renewals.ask("A", over.signal);
    over.abort();
    await never;
    assert.deepEqual(heard, ["A", "B", "A"]);
  },
);
