import assert from "@std/assert";
import { unwrap } from "./envelope.ts";

Deno.test("each envelope gives the frame in it and the time that it tells", () => {
  const time = 1700000000123456;
  for (
    const [line, expected] of [
      ["1700000000123456789 {}", { receivedTime: time, frame: "{}" }],
      ["1700000000.1234567: {}", { receivedTime: time, frame: "{}" }],
      ["1700000000.5: {}", { receivedTime: 1700000000500000, frame: "{}" }],
      ["https://a.example/b?c=D -> 1700000000.123456: []", {
        receivedTime: time,
        frame: "[]",
        request: "https://a.example/b?c=D",
      }],
      ['{"recv_ts_ns":1700000000123456789,"payload":"{\\"a\\":1.50}"}', { receivedTime: time, frame: '{"a":1.50}' }],
      ['{"note": "n", "payload": "{}"}', { receivedTime: null, frame: "{}" }],
      ['{"source":"s","line":0,"protobuf_base64":"CAE="}', { receivedTime: null, frame: "CAE=" }],
      ["wss://a.example/ws <-> 1700000000.25", null],
      ['wss://a.example/ws <- 1700000000.25: {"op":"subscribe"}', null],
    ] as const
  ) assert.deepEqual(unwrap(line), expected, line);
});

Deno.test("what is no envelope is a frame, and a time that is none is not made up", () => {
  for (
    const line of [
      "{}",
      "0000000000001000000 {}",
      "17000000001234567890 {}",
      "1700000000: {}",
      "1700000000.1234567890: {}",
      "wss://a.example/ws -> 1700000000.25: {}",
      "https://a.example/ 1700000000.25: {}",
      '{"recv_ts_ns":1700000000123456789,"payload":{}}',
      '{"note":"n","payload":1}',
      '{"note":"n","payload":"',
      '{"source":"binance"}',
    ]
  ) assert.deepEqual(unwrap(line), { receivedTime: null, frame: line });
  assert.deepEqual(unwrap("0000000001.5: {}"), { receivedTime: null, frame: "{}" });
  assert.deepEqual(unwrap('{"recv_ts_ns":1000000000000000000,"payload":"{}"}')?.frame, "{}");
});
