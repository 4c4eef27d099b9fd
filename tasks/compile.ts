/**
 * Standalone binaries in `dist/`: one a command and one for the pipeline, each with the modules that its Workers load.
 *
 * **Knows** everything.
 */
import { fileURLToPath } from "node:url";

const COMMANDS = [
  ...["simulate", "ingest", "validate", "sink-hot", "sink-cold", "audit", "doctor", "rejects", "redrive", "book"],
  "frames",
  "rules",
];
const jobs = [
  ...COMMANDS.map((name) => ({ name: `tapedeck-${name}`, main: `cmd/${name}.ts`, workers: [`cmd/${name}.ts`] })),
  { name: "tapedeck-pipeline", main: "tasks/pipeline.ts", workers: COMMANDS.map((name) => `cmd/${name}.ts`) },
];

/**
 * Files of a package that are no modules and have no ending: the compiler takes them for some, and overflows its stack on
 * a hundred thousand numbers with signs.
 */
const promClient = fileURLToPath(import.meta.resolve("prom-client"));
const NUMBERS = `${promClient.slice(0, promClient.indexOf("/prom-client/"))}/bintrees/1.0.2/test`;

if (Deno.args.includes("--help") || Deno.args.includes("-h")) {
  const names = jobs.map(({ name }) => `  dist/${name}`);
  console.log(["compile: standalone binaries in dist/", "", ...names, "", "  deno task compile"].join("\n"));
  Deno.exit();
}

for (const { name, main, workers } of jobs) {
  const includes = [...new Set(workers)].flatMap((path) => ["--include", path]);
  const args = [
    "compile",
    "-A",
    "--exclude-unused-npm",
    "--exclude",
    NUMBERS,
    "--v8-flags=--min-semi-space-size=32,--max-semi-space-size=32",
    ...includes,
    "--output",
    `dist/${name}`,
    main,
  ];
  const { code } = await new Deno.Command(Deno.execPath(), { args, stdout: "inherit", stderr: "inherit" }).output();
  if (code !== 0) {
    console.error(
      `Cannot compile "${name}": deno compile ended with ${code}, must be 0; it fetches its base binary from the network`,
    );
    Deno.exit(1);
  }
  console.error(`dist/${name}`);
}
