/**
 * What the commands ask of the system, as Deno notes it (`DENO_AUDIT_PERMISSIONS`), against what their stages are granted;
 * and that no secret leaves a process by its output, its metrics, its arguments or its files.
 */
import assert from "@std/assert";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { coverage } from "../cmd/audit/coverage.ts";
import { history } from "../cmd/audit/history.ts";
import { addressOf, kafkaOf } from "../lib/transport/kafka/address.ts";
import { permissionsOf } from "../lib/permission.ts";
import type { Setting } from "../lib/stage.ts";
import planted from "../testdata/planted.ts";
import { withData } from "../testdata/flow.ts";
import { STAGES } from "./flow.ts";

const PROJECT = new URL("../", import.meta.url);
const FRAMES = fileURLToPath(new URL("testdata/venue/binance/depth.jsonl", PROJECT));
const decoder = new TextDecoder();

/** Where the doors are, when they are not embedded. */
interface Doors {
  readonly transport?: string;
  readonly hot?: string;
}

interface Asked {
  readonly permission: string;
  /** Null for all of it. */
  readonly value: string | null;
}

/** Asked by the client libraries for Kafka as they load; refused, and they go on without. */
const REFUSED = ["read /usr/bin/ldd", "sys cpus", "sys networkInterfaces"];

/**
 * Whether it is the process, not the stage in its Worker, that asked: to give the Worker less than its own, to load the
 * modules, to read flags from the environment, to tell its memory, and to make durable the folders that hold the stage's.
 */
function isOfProcess({ permission, value }: Asked, granted: Deno.PermissionOptionsObject): boolean {
  if (value === null) return ["read", "write", "net", "sys"].includes(permission);
  if (permission === "env") return value.startsWith("TAPEDECK_");
  if (permission === "read" && value.startsWith(PROJECT.href)) return true;
  if (permission === "read" || permission === "write") {
    const own = granted[permission];
    if (Array.isArray(own) && own.some((path) => String(path).startsWith(`${value}/`))) return true;
  }
  return value === "/proc/self/status";
}

function isGranted({ permission, value }: Asked, granted: Deno.PermissionOptionsObject): boolean {
  const list = granted[permission as keyof Deno.PermissionOptionsObject];
  if (!Array.isArray(list) || value === null) return false;
  const isFile = permission === "read" || permission === "write";
  // A path that is relative is asked for as it is, or as the whole that it stands for.
  const places = list.map(String).flatMap((item) => isFile ? [item, resolve(fileURLToPath(PROJECT), item)] : [item]);
  return places.some((place) => place === value || isFile && value.startsWith(`${place}/`));
}

/** Runs a program in a process of its own. */
async function runs(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", file, ...args],
    cwd: fileURLToPath(PROJECT),
    env: { NO_COLOR: "1", ...env },
  }).output();
  return { code, out: decoder.decode(stdout), heard: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Runs a stage's command and gives what was asked beyond what is granted, each once. */
async function beyond(
  stage: typeof planted,
  file: string,
  data: string,
  doors: Doors,
  args: readonly string[],
): Promise<{ readonly code: number; readonly out: string; readonly beyond: string[] }> {
  const audit = `${data}.${stage.name}.permissions`;
  const given = Object.entries(doors).map(([name, url]) => `--${name}=${url}`);
  const { code, out, heard } = await runs(file, [...args, "--data", data, "--retry-for", "5", ...given], {
    DENO_AUDIT_PERMISSIONS: audit,
  });
  assert.ok(code === 0 || stage === planted, heard);
  const asked: Asked[] = (await Deno.readTextFile(audit)).trim().split("\n").map((line) => JSON.parse(line));
  await Deno.remove(audit);
  const [from, report] = ["--from", "--report"].map((flag) => args.find((_, i) => args[i - 1] === flag));
  const setting: Setting = {
    transport: `log:${data}/log`,
    hot: `sqlite:${data}/hot.db`,
    ...doors,
    to: null,
    lake: `file:${data}/lake`,
    partitions: 4,
    create: true,
    retryForMs: 0,
    values: { from, report, expire: args.includes("--expire") },
    env: {},
  };
  const granted = permissionsOf(stage, setting);
  const refused = doors.transport?.startsWith("kafka:") ? REFUSED : [];
  const beyond = asked.filter((each) => !isOfProcess(each, granted) && !isGranted(each, granted))
    .map(({ permission, value }) => `${permission} ${value}`).filter((each) => !refused.includes(each));
  return { code, out, beyond: [...new Set(beyond)].sort() };
}

/** Every command, one after another on one tape. */
async function allWithin(data: string, doors: Doors): Promise<void> {
  const args: Readonly<Record<string, readonly string[]>> = {
    simulate: ["--ticks", "300"],
    ingest: ["--from", FRAMES, "--venue", "binance", "--frames"],
    book: ["--venue", "binance", "--symbol", "AAAUSD", "--at", "1700000000323456"],
    frames: doors.transport === undefined ? ["--expire", "--older-than", "30d"] : [],
  };
  for (const stage of STAGES) {
    const file = fileURLToPath(new URL(`cmd/${stage.name}.ts`, PROJECT));
    const found = await beyond(stage, file, data, doors, ["--once", "--create", ...args[stage.name] ?? []]);
    assert.deepEqual(found.beyond, [], stage.name);
  }
  const file = fileURLToPath(new URL("cmd/audit.ts", PROJECT));
  for (
    const [part, ...words] of [[history], [coverage, "--date", "2026-11-20", "--report", `${data}/page.html`]] as const
  ) {
    const found = await beyond(part, file, data, doors, [part.name.split(" ")[1]!, ...words]);
    assert.deepEqual(found.beyond, [], part.name);
  }
}

Deno.test("no command asks for more than its declaration and its URLs grant", () =>
  withData((data) => allWithin(data, {})));

Deno.test("a planted read, write, connection, process, library and look around are refused, and noted as asked", () =>
  withData(async (data) => {
    const other = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      const file = fileURLToPath(new URL("testdata/planted.ts", PROJECT));
      const beside = `${data}/lake/beside`;
      await Deno.mkdir(`${data}/lake`);
      const args = ["--json", "--own", `${data}/log/own`, "--beside", beside, "--other", other];
      const found = await beyond(planted, file, data, {}, args);
      const { "own file": own, ...others } = JSON.parse(found.out.trim().split("\n").at(-1)!).tries;
      assert.equal(own, "done");
      assert.deepEqual(others, Object.fromEntries(Object.keys(others).map((what) => [what, "refused"])));
      assert.equal(Object.keys(others).length, 14);
      const noted = [
        "env HOME",
        "env null",
        "ffi /lib/none.so",
        "net 127.0.0.1:0",
        "net 127.0.0.1:4",
        "net 127.0.0.1:9",
        "net http://127.0.0.1:4/",
      ];
      const files = ["read /etc/hostname", `read ${other}`, "sys hostname", `write ${beside}`, `write ${other}`];
      assert.deepEqual([...found.beyond].sort(), [...noted, ...files].sort());
    } finally {
      await Deno.remove(other);
    }
  }));

const kafkaUrl = Deno.env.get("KAFKA_URL");
const postgresUrl = Deno.env.get("POSTGRES_URL");
const served = kafkaUrl !== undefined && postgresUrl !== undefined;
if (!served) {
  console.log("permissions: Kafka and Postgres are not tried, KAFKA_URL and POSTGRES_URL are not both set");
}
const given = (url: string, parameter: string) => `${url}${url.includes("?") ? "&" : "?"}${parameter}`;

/** A tape of its own on the servers, removed afterwards. */
async function onServers(use: (doors: Required<Doors>) => Promise<void>): Promise<void> {
  const name = `permission_${Deno.pid}_${Date.now()}`;
  try {
    await use({ transport: given(kafkaUrl!, `prefix=${name}.`), hot: given(postgresUrl!, `schema=${name}`) });
  } finally {
    const world = { now: () => 0, env: () => undefined, report: () => {}, retryForMs: 0 };
    const admin = kafkaOf(addressOf(kafkaUrl!, world)).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: (await admin.listTopics()).filter((topic) => topic.startsWith(`${name}.`)) });
    await admin.disconnect();
    const sql = postgres(postgresUrl!, { max: 1, onnotice: () => {} });
    await sql.unsafe(`drop schema if exists ${name} cascade`);
    await sql.end();
  }
}

Deno.test({
  name: "no command asks for more on Kafka and Postgres",
  ignore: !served,
  fn: () => withData((data) => onServers((doors) => allWithin(data, doors))),
});

const SECRET = "hunter2/of?the@night#1";
/** As it stands in a URL, whole and in the parts that a careless cut would leave, and as it is. */
const SPELLINGS = [SECRET, encodeURIComponent(SECRET), "hunter2", "the@night", "night#1", "night%231"];
const LOGIN = `user:${encodeURIComponent(SECRET)}`;

function assertSecret(text: string, where: string): void {
  for (const spelling of SPELLINGS) assert.ok(!text.includes(spelling), `${spelling} is in ${where}:\n${text}`);
}

async function* textsBelow(folder: string): AsyncGenerator<readonly [string, string]> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* textsBelow(path);
    else yield [path, new TextDecoder("latin1").decode(await Deno.readFile(path))];
  }
}

const cmd = (name: string): string => fileURLToPath(new URL(`cmd/${name}.ts`, PROJECT));
const ENVIRONMENT = {
  TAPEDECK_KAFKA_USER: "user",
  TAPEDECK_KAFKA_PASSWORD: SECRET,
  TAPEDECK_POSTGRES_PASSWORD: SECRET,
};
const NOBODY = "127.0.0.1:1";
/** What is run, with the URLs in the environment, and how it ends. */
const FAILURES: readonly (readonly [string, Readonly<Record<string, string>>, number])[] = [
  ["sink-hot", { TAPEDECK_HOT: `postgres://${LOGIN}@${NOBODY}/market` }, 1],
  ["sink-hot", { TAPEDECK_HOT: `postgres://user@${NOBODY}/market` }, 1],
  ["audit", { TAPEDECK_HOT: `postgres://${LOGIN}@${NOBODY}/market` }, 1],
  ["doctor", { TAPEDECK_HOT: `postgres://${LOGIN}@${NOBODY}/market` }, 3],
  ["validate", { TAPEDECK_TRANSPORT: `kafka://${LOGIN}@${NOBODY}?sasl=plain&insecure=true` }, 1],
  ["simulate", { TAPEDECK_TRANSPORT: `kafka://${NOBODY}?sasl=scram-sha-512&insecure=true` }, 1],
  ["doctor", { TAPEDECK_TRANSPORT: `kafka://${LOGIN}@${NOBODY}?sasl=plain&insecure=true` }, 3],
  // Misspelled, which a message might repeat.
  ["sink-hot", { TAPEDECK_HOT: `postgres://user:${SECRET}@${NOBODY}/market` }, 2],
  ["sink-hot", { TAPEDECK_HOT: `postgresql://${LOGIN}@${NOBODY}/market` }, 2],
  ["sink-hot", { TAPEDECK_HOT: `postgres://user@${NOBODY}/market?password=${encodeURIComponent(SECRET)}` }, 2],
  ["sink-cold", { TAPEDECK_LAKE: `s3://${LOGIN}@${NOBODY}/market` }, 2],
  ["validate", { TAPEDECK_TRANSPORT: `kafka://user:${SECRET}@${NOBODY}?sasl=plain` }, 2],
  ["validate", { TAPEDECK_TRANSPORT: `kafka://${LOGIN}@${NOBODY}?sasl=plain` }, 2],
  ["validate", { TAPEDECK_TRANSPORT: `amqp://user:${SECRET}@${NOBODY}` }, 2],
  ["doctor", { TAPEDECK_TRANSPORT: `amqp://user:${SECRET}@${NOBODY}`, TAPEDECK_HOT: `mysql://${LOGIN}@${NOBODY}` }, 3],
];

Deno.test("no failure tells a secret, however the URL that holds it is spelled", async () => {
  await Promise.all(FAILURES.map(([name, env, wanted]) =>
    withData(async (data) => {
      const args = ["--data", data, "--retry-for", "0", "--once", "--json"];
      const { code, heard } = await runs(cmd(name), args, { ...ENVIRONMENT, ...env });
      assert.equal(code, wanted, `${name} ${JSON.stringify(env)}: ${heard}`);
      assertSecret(heard, `what ${name} said`);
      for await (const [path, text] of textsBelow(data)) assertSecret(text, path);
    })
  ));
});

Deno.test("a command at work tells no secret to those who look at its arguments, its metrics or its files", () =>
  withData(async (data) => {
    await using child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", cmd("sink-hot"), "--data", data, "--retry-for", "60", "--metrics-port", "0", "--json"],
      cwd: fileURLToPath(PROJECT),
      env: { NO_COLOR: "1", ...ENVIRONMENT, TAPEDECK_HOT: `postgres://${LOGIN}@${NOBODY}/market` },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let heard = "";
    let isMetered = false;
    const rest = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      heard += text;
      // It has opened the log, and the store does not answer: it waits.
      const url = /metrics at (\S+)\n/.exec(heard)?.[1];
      if (isMetered || url === undefined || !heard.includes("trying again")) continue;
      isMetered = true;
      assertSecret(await (await fetch(url)).text(), "its metrics");
      for (const pid of [child.pid, ...await childrenOf(child.pid)]) {
        assertSecret(await Deno.readTextFile(`/proc/${pid}/cmdline`), "its arguments");
      }
      child.kill("SIGKILL");
    }
    for await (const text of rest) heard += text;
    assert.ok(isMetered, heard);
    assertSecret(heard, "what it said");
    for await (const [path, text] of textsBelow(data)) assertSecret(text, path);
  }));

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

Deno.test({
  name: "a server that refuses a login, and one that takes it, are spoken of without it",
  ignore: !served,
  fn: () =>
    withData((data) =>
      onServers(async ({ transport, hot }) => {
        const login = /\/\/(.*)@/.exec(hot)![1]!;
        const wrong = hot.replace(/\/\/([^:@]*).*@/, `//$1:${encodeURIComponent(SECRET)}@`);
        const sasl = given(transport.replace("//", `//${LOGIN}@`), "sasl=plain&insecure=true");
        const args = ["--data", data, "--retry-for", "3", "--once", "--json"];
        for (
          const [name, env] of [
            ["sink-hot", { TAPEDECK_HOT: wrong }],
            ["sink-hot", { TAPEDECK_HOT: wrong.replace(/:[^:@]*@/, "@") }],
            ["doctor", { TAPEDECK_HOT: wrong }],
            ["validate", { TAPEDECK_TRANSPORT: sasl }],
            ["doctor", { TAPEDECK_TRANSPORT: sasl }],
          ] as const
        ) {
          const { code, heard } = await runs(cmd(name), args, { ...ENVIRONMENT, ...env });
          assert.notEqual(code, 0, heard);
          assertSecret(heard, `what ${name} said`);
        }
        for (const name of ["simulate", "validate", "sink-hot", "sink-cold", "audit", "doctor"]) {
          const all = [...args, "--transport", transport, "--create", ...name === "simulate" ? ["--ticks", "300"] : []];
          const { code, heard } = await runs(cmd(name), all, { ...ENVIRONMENT, TAPEDECK_HOT: hot });
          assert.equal(code, 0, heard);
          assertSecret(heard, `what ${name} said`);
          assert.ok(!heard.includes(login), heard);
        }
        for await (const [path, text] of textsBelow(data)) assertSecret(text, path);
      })
    ),
});
