/**
 * Kafka, Postgres, Prometheus and Grafana by Docker Compose, and the contracts on real servers.
 *
 * `up` starts all of compose.yaml and waits until it is healthy, `down` ends it and keeps its data. `test` runs the
 * tests that ask for a server against KAFKA_URL and POSTGRES_URL, and starts by compose what they do not name.
 */
import { EXIT, Misuse, Outage, printable, reasonOf } from "../lib/failure.ts";

const ROOT = new URL("../", import.meta.url);
/** What the contracts need: the variable, the service of compose.yaml, and its URL there. */
const NEEDED = [
  { variable: "KAFKA_URL", service: "kafka", url: "kafka://127.0.0.1:9092" },
  { variable: "POSTGRES_URL", service: "postgres", url: "postgres://market:market@127.0.0.1:5432/market" },
] as const;

/** Runs a program in the project's folder; shows what it prints, or keeps it. Gives null when there is no such program. */
async function run(
  program: string,
  args: readonly string[],
  output: "inherit" | "piped",
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number; readonly said: string } | null> {
  try {
    const command = new Deno.Command(program, {
      args: [...args],
      cwd: ROOT,
      env,
      stdin: "null",
      stdout: output,
      stderr: output,
    });
    const done = await command.output();
    const said = output === "inherit" ? "" : new TextDecoder().decode(done.stderr).trim().split("\n").at(-1)!;
    return { code: done.code, said };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** @throws {Outage} naming what is missing: Docker, its Compose plugin or its daemon */
async function checkCompose(): Promise<void> {
  const lacks = (state: string, wanted: string) =>
    new Outage(`Cannot start services "compose.yaml": ${state}, must be ${wanted}`);
  const client = await run("docker", ["--version"], "piped");
  if (client === null || client.code !== 0) throw lacks("Docker is not installed", "there as docker on the PATH");
  const plugin = await run("docker", ["compose", "version"], "piped");
  if (plugin?.code !== 0) throw lacks("Docker has no Compose plugin", "there as docker compose");
  const daemon = await run("docker", ["info", "--format", "{{.ServerVersion}}"], "piped");
  if (daemon?.code !== 0) throw lacks(`Docker does not answer (${printable(daemon?.said ?? "")})`, "running");
}

async function compose(...args: readonly string[]): Promise<void> {
  await checkCompose();
  const done = await run("docker", ["compose", ...args], "inherit");
  if (done?.code !== 0) throw new Outage(`Cannot run "docker compose ${args.join(" ")}": see above, must succeed`);
}

/** The test files that ask for a server's URL. */
function suites(): string[] {
  return ["lib", "tasks"].flatMap((folder) =>
    [...Deno.readDirSync(new URL(folder, ROOT))]
      .filter(({ name }) => name.endsWith("_test.ts"))
      .map(({ name }) => `${folder}/${name}`)
      .filter((path) => {
        const text = Deno.readTextFileSync(new URL(path, ROOT));
        return NEEDED.some(({ variable }) => text.includes(variable));
      })
  ).sort();
}

async function test(): Promise<number> {
  const urls = Object.fromEntries(NEEDED.map(({ variable }) => [variable, Deno.env.get(variable) ?? ""]));
  const absent = NEEDED.filter(({ variable }) => urls[variable] === "");
  if (absent.length > 0) {
    try {
      await compose("up", "--detach", "--wait", ...absent.map(({ service }) => service));
    } catch (error) {
      const names = absent.map(({ variable }) => variable).join(" and ");
      throw new Outage(`${reasonOf(error)} (or ${names} must name a server)`, { cause: error });
    }
    for (const { variable, url } of absent) urls[variable] = url;
    console.error("services stay up; deno task services down ends them");
  }
  return (await run(Deno.execPath(), ["test", "-A", ...suites()], "inherit", urls))?.code ?? EXIT.failed;
}

const HELP = `services: Kafka, Postgres, Prometheus and Grafana by Docker Compose

  up                                 starts them and waits until they are healthy
  down                               stops them, and keeps their data
  test                               the contracts on KAFKA_URL and POSTGRES_URL, or on Compose

  deno task services up
  deno task services down
  deno task test:real`;

async function main(what: string | undefined): Promise<number> {
  switch (what) {
    case "up":
      await compose("up", "--detach", "--wait");
      console.error("dashboard: http://127.0.0.1:3000   prometheus: http://127.0.0.1:9090");
      for (const { variable, url } of NEEDED) console.log(`export ${variable}=${url}`);
      return EXIT.done;
    case "down":
      await compose("down");
      return EXIT.done;
    case "test":
      return await test();
    case "--help":
    case "-h":
      console.log(HELP);
      return EXIT.done;
    default:
      throw new Misuse(`Cannot run services "${printable(what ?? "")}": it is unknown, must be up, down or test`);
  }
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args[0]));
  } catch (error) {
    if (!(error instanceof Misuse || error instanceof Outage)) throw error;
    console.error(reasonOf(error));
    Deno.exit(error instanceof Misuse ? EXIT.misuse : EXIT.failed);
  }
}
