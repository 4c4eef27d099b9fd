/** Where a user's flags have a venue asked. */
import assert from "@std/assert";
import { hostsOf, liveOf } from "./following.ts";
import { openVenue } from "./venue.ts";

Deno.test("beside another websocket REST is asked at the same host, unless it is said where", async () => {
  const venue = await openVenue("binance");
  const live = venue.live!;
  const trying = {
    random: () => 0,
    pause: () => Promise.resolve(),
    signal: new AbortController().signal,
    hear: () => {},
  };
  const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0, trying };
  const asked = (wish: { readonly base?: string; readonly rest?: string }) => {
    const values = { symbols: "AAAUSDT", channels: "trade", "compare-every": 0, ...wish };
    return [liveOf(values, venue, { epoch: 1, micros: () => 0, world }).rest, ...hostsOf(wish, venue)];
  };
  assert.deepEqual(asked({}), [undefined, ...hostsOf({ base: live.base, rest: live.rest!.base }, venue)]);
  const [base, at] = ["ws://127.0.0.1:9443", "127.0.0.1:9443"];
  assert.deepEqual(asked({ base }), [`http://${at}`, at, at]);
  assert.deepEqual(asked({ base: "wss://[::1]" }), ["https://[::1]", "[::1]:443", "[::1]:443"]);
  assert.deepEqual(asked({ base, rest: "https://rest.invalid" }), ["https://rest.invalid", at, "rest.invalid:443"]);
  assert.deepEqual(asked({ base: "nonsense" })[0], undefined);
});
