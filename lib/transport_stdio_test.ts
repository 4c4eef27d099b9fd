import assert from "@std/assert";
import { Buffer } from "node:buffer";
import { MESSAGE_BYTES_MAX } from "./transport.ts";

const config = new URL("../deno.json", import.meta.url).pathname;
const prelude = `
  import { openTransport } from "${import.meta.resolve("./transport.ts")}";
  const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
  const io = await openTransport("stdio:", world);
  const once = { topics: ["t"], group: "g", signal: new AbortController().signal, drain: AbortSignal.abort() };
  const told = (value) => typeof value === "string" ? value : Array.from(value);
`;

/** Starts a program that has \`io\` open on its standard streams. */
function start(program: string): Deno.ChildProcess {
  const module = `data:application/javascript;base64,${Buffer.from(prelude + program).toString("base64")}`;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, module],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function run(program: string, input: string | Uint8Array<ArrayBuffer> = "") {
  const child = start(program);
  const fed = new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
  const { stdout, stderr } = await child.output();
  await fed;
  return { out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

const lines = (text: string): unknown[] => text.trimEnd().split("\n").map((line) => JSON.parse(line));

Deno.test("lines of standard input are records of partition 0, numbered from 0, the last one with or without its end", async () => {
  const { out, err } = await run(
    `
    for await (const { topic, partition, records, next, high } of io.receive({ ...once, batchMax: 2 })) {
      console.log(JSON.stringify([topic, partition, records.map((r) => [r.offset, r.key, told(r.value)]), next, high]));
    }`,
    new Uint8Array(Buffer.from('{"a":1}\nnot json\n\nb\xff\n"base64:/wo="\nlast', "latin1")),
  );
  assert.equal(err, "");
  const batches = lines(out) as [string, number, [number, null, unknown][], number, number][];
  assert.ok(batches.every(([topic, partition, records]) => topic === "t" && partition === 0 && records.length <= 2));
  assert.deepEqual(batches.flatMap(([, , records]) => records), [
    [0, null, '{"a":1}'],
    [1, null, "not json"],
    [2, null, ""],
    [3, null, [98, 255]],
    [4, null, [255, 10]],
    [5, null, "last"],
  ]);
  assert.equal(batches.at(-1)![3], 6);
});

Deno.test("what is written to standard output reads back as the same values, without what is no tick", async () => {
  const written = await run(`
    const values = ['{"a":"é"}', new TextEncoder().encode("not json"), new TextEncoder().encode("two\\nlines"),
      new Uint8Array([0, 255]), new Uint8Array(), new TextEncoder().encode('"base64:AA=="'),
      '"\\u202e\\x9b2J"'];
    await io.append("t", 0, [{ key: "k", value: "rules", control: true }]);
    const place = await io.append("t", 0, values.map((value) => ({ key: "k", value })));
    console.error(JSON.stringify(place));
  `);
  assert.equal(written.err, '{"first":1,"next":8}\n');
  assert.deepEqual(written.out.split("\n"), [
    '{"a":"é"}',
    "not json",
    '"base64:dHdvCmxpbmVz"',
    '"base64:AP8="',
    '"base64:"',
    '"base64:ImJhc2U2NDpBQT09Ig=="',
    '"base64:IuKArsKbMkoi"',
    "",
  ]);
  const read = await run(
    `for await (const { records } of io.receive(once)) for (const { value } of records) console.log(JSON.stringify(told(value)));`,
    written.out,
  );
  assert.deepEqual(lines(read.out), [
    '{"a":"é"}',
    "not json",
    "two\nlines",
    [0, 255],
    "",
    '"base64:AA=="',
    '"\u202e\x9b2J"',
  ]);
});

Deno.test("reading begins where start says", async () => {
  const { out } = await run(
    `for await (const { records } of io.receive({ ...once, start: () => Promise.resolve(2) })) {
      for (const { offset, value } of records) console.log(JSON.stringify([offset, value]));
    }`,
    "a\nb\nc\nd\n",
  );
  assert.deepEqual(lines(out), [[2, "c"], [3, "d"]]);
});

Deno.test("a stream that waits for input ends when its signal or its drain fires", async () => {
  for (const ender of ["signal", "drain"]) {
    const child = start(`
      const ending = new AbortController();
      const options = { ...once, drain: new AbortController().signal, ${ender}: ending.signal };
      for await (const { records } of io.receive(options)) {
        console.log(records[0].value);
        setTimeout(() => ending.abort());
      }
      console.log("ended");
    `);
    const feed = child.stdin.getWriter();
    await feed.write(new TextEncoder().encode("a\n"));
    let text = "";
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
    assert.equal(text, "a\nended\n", ender);
    await feed.close().catch(() => {});
    await child.stderr.cancel();
    await child.status;
  }
});

Deno.test("a line that is too long is a refusal that names it", async () => {
  const { out } = await run(
    `try { for await (const _ of io.receive(once)); } catch (error) { console.log(error.name, error.message); }`,
    `a\n${"x".repeat(2 * MESSAGE_BYTES_MAX)}\n`,
  );
  assert.match(out, /^Refusal Cannot read line 2 of standard input: it is too long/);
});

Deno.test("a reader of the output that has gone is one clear outage", async () => {
  const child = start(`
    try { for (;;) await io.append("t", 0, [{ key: null, value: JSON.stringify("x".repeat(10000)) }]); }
    catch (error) { console.error(error.name, error.message); }
  `);
  await child.stdin.close();
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  let text = "";
  for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) text += chunk;
  assert.equal(text, "Outage Cannot write to standard output: its reader has closed it, must be open\n");
  await child.status;
});

Deno.test("what standard streams cannot do is a misuse or a refusal in one line", async () => {
  const { out } = await run(`
    const tries = [
      () => openTransport("stdio:file", world),
      () => io.create("t", 2),
      async () => { for await (const _ of io.receive({ ...once, topics: ["a", "b"] })); },
      async () => { for await (const _ of io.receive(once)); for await (const _ of io.receive(once)); },
      async () => { for await (const _ of io.read("t", 0, 0, 1)); },
    ];
    for (const attempt of tries) await attempt().catch((error) => console.log(JSON.stringify([error.name, error.message])));
    await io.create("t", 1);
    const zombie = await io.claim("s", 0);
    const owner = await io.claim("s", 0);
    await io.save("s", 0, { epoch: owner.epoch, nextOffset: 1, state: "1" });
    await io.save("s", 0, { epoch: zombie.epoch, nextOffset: 2, state: "2" }).catch((error) => console.log(JSON.stringify([error.name, error.message])));
    await io.save("s", 0, { epoch: owner.epoch, nextOffset: 2, state: " ".repeat(33 << 20) }).catch((error) => console.log(JSON.stringify([error.name, error.message])));
    console.log(JSON.stringify(["state", (await io.load("s", 0)).state]));
  `);
  assert.deepEqual(lines(out).map((line) => (line as string[])[0]), [
    "Misuse",
    "Refusal",
    "Misuse",
    "Misuse",
    "Misuse",
    "Refusal",
    "Misuse",
    "state",
  ]);
});
