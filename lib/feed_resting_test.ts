/** Who need not speak, and until when. */
import assert from "@std/assert";
import { Resting } from "./feed/resting.ts";
import type { Status, Tick } from "./tick.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000;
const common = (symbol: string, at: number) => ({
  ...{ venue: "made", symbol, eventTime: NOW + at, receivedTime: NOW + at, sequence: null, id: null },
});
const trade = (symbol: string, at: number): Tick => ({
  ...{ type: "trade", ...common(symbol, at), price: "1", size: "1", side: "buy" },
});
const status = (symbol: string, state: Status["state"], at: number): Tick => ({
  ...{ type: "status", ...common(symbol, at), state, firstId: null, lastId: null, detail: null },
});

Deno.test("who is listed as not trading, or said to halt, may be silent until it trades again", strict, () => {
  const resting = new Resting(["A", "B"], NOW);
  const who = () => ["A", "B", "C"].filter((symbol) => resting.has(symbol)).join("");
  assert.equal(who(), "AB");
  resting.hear([trade("A", -1), trade("C", 5), status("B", "gap", 1), status("B", "connected", 1)]);
  assert.equal(who(), "AB", "what was traded before proves nothing, and connections are no matter of trading");
  resting.hear([trade("A", 1)]);
  assert.equal(who(), "B");
  for (const state of ["halted", "auction", "maintenance", "closed"] as const) {
    resting.hear([status("C", state, 10)]);
    assert.equal(who(), "BC", state);
    resting.hear([trade("C", 10)]);
    assert.equal(who(), "BC", state);
    resting.hear([trade("C", 11)]);
    assert.equal(who(), "B", state);
  }
  resting.hear([status("B", "trading", 20)]);
  assert.equal(who(), "");
});
