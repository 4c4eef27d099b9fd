/** A venue that names its address to those alone whom it knows, against real servers of both kinds on this machine. */
import assert from "@std/assert";
import { HandClock, host, madeVenue, worldOf } from "../testdata/peer.ts";
import { Misuse, Outage } from "./failure.ts";
import { follow, type Following, type Received } from "./feed.ts";
import { ANSWER_MS } from "./feed/connection.ts";
import { HANDSHAKE_MS } from "./feed/handshake.ts";
import { fieldsOf } from "./fields.ts";
import type { Live } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const TOKEN = "a-token-of-it";
const AUTHORIZE: NonNullable<Live["authorize"]> = {
  path: "/authorize?of=feed",
  address(answer) {
    const { at } = fieldsOf(answer) ?? {};
    return typeof at === "string" ? at : null;
  },
};

/** A host that is asked for addresses and serves them; `answer` says what it names to the question of this number, from 0. */
function naming(answer: (question: number, request: Request) => Response | string) {
  let questions = 0;
  const venue = host((_attempt, request) => {
    if (new URL(request.url).pathname !== "/authorize") return null;
    const said = answer(questions++, request);
    return typeof said === "string" ? Response.json({ at: said }) : said;
  });
  return { venue, rest: venue.base.replace("ws:", "http:"), questions: (): number => questions };
}

/** A follower of a made venue at such a host, its waits for another try ending at once. */
function followed(more: Partial<Following> & { readonly live?: Partial<Live>; readonly retryForMs?: number }) {
  const { live, retryForMs = 0, ...following } = more;
  const clock = new HandClock();
  clock.passes = (ms) => ms !== HANDSHAKE_MS && ms !== ANSWER_MS && ms < 100_000;
  const stop = new AbortController();
  const { world, lines } = worldOf(clock, { retryForMs, random: 0.999 });
  const venue = madeVenue({ secret: "MADE_TOKEN", authorize: AUTHORIZE, ...live });
  const common = { run: "r", signal: stop.signal, now: clock.now, world, token: TOKEN };
  const stream = follow(venue, { symbols: ["A"], channels: ["trade"] }, { ...common, ...following });
  return {
    ...{ clock, stop, lines },
    /** Reads on to the next event of this name, or the next frame. */
    async until(name: string): Promise<Received> {
      for (;;) {
        const { value, done } = await stream.next();
        if (done) throw new Error(`no ${name} before the end`);
        if (value.kind === name || value.kind === "event" && value.event === name) return value;
      }
    },
    rest: (): Promise<Received[]> => Array.fromAsync(stream),
  };
}

Deno.test(
  "each connection asks for an address of its own, with the token, and goes where it is told",
  strict,
  async () => {
    const asked: (string | null)[] = [];
    const { venue, rest, questions } = naming((question, request) => {
      asked.push(new URL(request.url).search, request.headers.get("authorization"), request.headers.get("accept"));
      return `wss://feeder.invalid/feeds/v3?code=${question}#part`;
    });
    await using host = venue;
    const feed = followed({ base: host.base, rest, retryForMs: 600_000 });
    for (const code of [0, 1, 2]) {
      const connected = feed.until("connected");
      const peer = await host.peer();
      await connected;
      const { pathname, search } = new URL(peer.url);
      assert.equal(pathname + search, `/feeds/v3?code=${code}`);
      await peer.agree();
      await feed.until("subscribed");
      const over = feed.until("disconnected");
      await peer.close(1000);
      await over;
    }
    feed.stop.abort();
    await feed.rest();
    assert.deepEqual(asked.slice(0, 3), ["?of=feed", `Bearer ${TOKEN}`, "application/json"]);
    assert.ok(questions() >= 3);
  },
);

Deno.test("a venue that repeats the address or the token makes neither shown", strict, async () => {
  const { venue, rest } = naming(() => "wss://feeder.invalid/feeds?v=3&code=s3cret-of-one");
  await using host = venue;
  const feed = followed({ base: host.base, rest });
  const over = feed.until("disconnected");
  const peer = await host.peer();
  await peer.close(4001, `v3: no s3cret-of-one with ${TOKEN}`);
  const event = await over;
  assert.equal(event.kind === "event" && event.event === "disconnected" && event.detail, "v3: no *** with ***");
  await assert.rejects(feed.rest(), (error: unknown) => !/s3cret|a-token-of-it/.test(Deno.inspect(error)));
});

Deno.test("a venue that takes bytes is sent bytes", strict, async () => {
  const { venue, rest } = naming(() => "wss://feeder.invalid/");
  await using host = venue;
  const feed = followed({ base: host.base, rest, live: { takesBytes: true } });
  const connected = feed.until("connected");
  const peer = await host.peer();
  await connected;
  assert.equal(await peer.message(), 'bytes {"id":1,"subscribe":["A"]}');
  feed.stop.abort();
  await feed.rest();
});

for (const status of [401, 403]) {
  Deno.test(`a token that is refused with ${status} is misuse, told once and never shown`, strict, async () => {
    const { venue, rest, questions } = naming(() => Response.json({ said: TOKEN }, { status }));
    await using host = venue;
    const feed = followed({ base: host.base, rest, retryForMs: 600_000 });
    await assert.rejects(feed.rest(), (error: unknown) => {
      assert.ok(error instanceof Misuse);
      assert.equal(
        String(error),
        `Misuse: Cannot follow "made": ${rest} refuses the token (${status}), must be given in MADE_TOKEN one that it knows`,
      );
      return !Deno.inspect(error).includes(TOKEN);
    });
    assert.deepEqual([questions(), feed.lines], [1, []]);
  });
}

for (
  const [what, answer, said] of [
    ["a page for people", () => new Response("<html>maintenance</html>"), "names no address, must name an address"],
    ["another object", () => Response.json({ of: "x" }), "names no address, must name an address"],
    ["no URL", () => "feeds?code=s3cret", "names no address, must name an address"],
    ["a login", () => "wss://me:s3cret@x/?code=s3cret", "names no address, must name an address"],
    ["an address too long", () => `wss://x/?code=${"s3cret".repeat(800)}`, "names no address, must name an address"],
    ["an answer too long", () => new Response("s3cret".repeat(20_000)), "names no address, must name an address"],
    ["a redirection", () => Response.redirect("http://127.0.0.1:9/s3cret", 302), "answers 302, must name an address"],
    ["trouble", () => new Response("s3cret", { status: 502 }), "answers 502, must name an address"],
    ["an http address", () => "http://x/?s3cret", 'names an address at "http://x", must name one at wss://'],
  ] as const
) {
  Deno.test(`${what} where an address should be is an outage of one clear line`, strict, async () => {
    const { venue, rest } = naming(answer);
    await using host = venue;
    await assert.rejects(followed({ base: host.base, rest }).rest(), (error: unknown) => {
      assert.ok(error instanceof Outage);
      assert.equal(String(error), `Outage: Cannot follow "made": ${rest} ${said}`);
      return !Deno.inspect(error).includes("s3cret");
    });
  });
}

Deno.test(
  "an address of another host than the venue's is not gone to, nor one that is not secure",
  strict,
  async () => {
    for (
      const [named, shown] of [
        ["wss://feeder.elsewhere/?code=s3cret", "wss://feeder.elsewhere"],
        ["ws://feeder.invalid/?code=s3cret", "ws://feeder.invalid"],
        ["wss://feeder.invalid:444/?code=s3cret", "wss://feeder.invalid:444"],
        [`wss://${"x".repeat(300)}.invalid/?code=s3cret`, `wss://${"x".repeat(122)}`],
      ] as const
    ) {
      const { venue, rest } = naming(() => named);
      await using _host = venue;
      await assert.rejects(followed({ rest, live: { base: "wss://feeder.invalid" } }).rest(), (error: unknown) => {
        assert.equal(
          String(error),
          `Outage: Cannot follow "made": ${rest} names an address at "${shown}", must name one at wss://feeder.invalid`,
        );
        return !Deno.inspect(error).includes("s3cret");
      });
    }
  },
);

Deno.test(
  "an address that is not secure is taken where another base on this machine stands in its place",
  strict,
  async () => {
    const { venue, rest } = naming(() => "ws://127.0.0.1:9/feeds?code=1");
    await using host = venue;
    const feed = followed({ base: host.base, rest });
    const connected = feed.until("connected");
    assert.equal(new URL((await host.peer()).url).pathname, "/feeds");
    await connected;
    feed.stop.abort();
    await feed.rest();
    await assert.rejects(followed({ base: "ws://feeder.invalid", rest }).rest(), /names an address at "ws:/);
  },
);

Deno.test("a venue that wants to be left alone is, for as long as it says", strict, async () => {
  for (const [retryAfter, leaveMs] of [["0", 30_000], ["50", 50_000]] as const) {
    const { venue, rest } = naming((question) =>
      question < 2
        ? new Response("", { status: 429, headers: { "retry-after": retryAfter } })
        : "wss://feeder.invalid/feeds"
    );
    await using host = venue;
    const feed = followed({ base: host.base, rest, retryForMs: 600_000 });
    const connected = feed.until("connected");
    await host.peer();
    await connected;
    const pauses = feed.clock.waits.filter((ms) => ms > HANDSHAKE_MS && ms < 100_000);
    assert.deepEqual(pauses, [1, 2].map(() => leaveMs + 1 + Math.floor(0.999 * (60_000 - leaveMs))));
    assert.match(feed.lines[0]!, /answers 429, must name an address; trying again/);
    feed.stop.abort();
    await feed.rest();
  }
});

Deno.test("an address whose code is refused is asked for again", strict, async () => {
  let opened = 0;
  const { venue: rest, rest: at, questions } = naming(() => "wss://feeder.invalid/feeds");
  await using _rest = rest;
  await using feeder = host(() => opened++ === 0 ? new Response("", { status: 401 }) : null);
  const feed = followed({ base: feeder.base, rest: at, retryForMs: 600_000 });
  const connected = feed.until("connected");
  await feeder.peer();
  await connected;
  assert.equal(questions(), 2);
  assert.match(feed.lines[0]!, /answers 401, must open a websocket; trying again/);
  feed.stop.abort();
  await feed.rest();
});

Deno.test("who never answers is given up after a while, and at once when it is asked to", strict, async () => {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const rest = `http://127.0.0.1:${listener.addr.port}`;
  const late = followed({ base: "ws://127.0.0.1:9", rest });
  const end = late.rest();
  using _late = await listener.accept();
  await late.clock.pass(HANDSHAKE_MS);
  await assert.rejects(end, /cannot be reached \(no answer within 15 s\), must be reachable$/);
  const stopped = followed({ base: "ws://127.0.0.1:9", rest });
  const over = stopped.rest();
  using _stopped = await listener.accept();
  stopped.stop.abort();
  assert.deepEqual(await over, []);
});

Deno.test(
  "a token that no header can hold, and a REST that is none, are misuse before anything is asked",
  strict,
  async () => {
    const of = (more: Parameters<typeof followed>[0]) => followed({ base: "ws://127.0.0.1:1", ...more }).rest();
    for (const token of ["a\ntoken", "tök", "a token"]) {
      await assert.rejects(of({ rest: "http://x", token }), (error: unknown) => {
        assert.match(String(error), /^Misuse: Cannot follow "made": MADE_TOKEN holds no token, must be given/);
        return !Deno.inspect(error).includes(token);
      });
    }
    await assert.rejects(of({ rest: "http://me:secret@x/?y" }), /^Misuse: .*its REST is "http:\/\/\*\*\*@x\/\?…"/);
    await assert.rejects(of({}), /^Misuse: .*its REST is ""/);
  },
);
