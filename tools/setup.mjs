// Brings what a command needs, and does nothing the second time.
//   node tools/setup.mjs start    npm packages and one Rust target: enough for `npm start`
//   node tools/setup.mjs test     the rest, into .tools/: enough for `npm test`

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { giveUp, must, root, run, say, works } from "./process.mjs";
import { programs as runtimes, folder as runtimesFolder } from "./runtimes.mjs";
import { hashOf, once } from "./stamp.mjs";

const versions = JSON.parse(readFileSync(new URL("versions.json", import.meta.url), "utf8"));
const windows = process.platform === "win32";
const npm = windows ? "npm.cmd" : "npm";
const toolsBin = join(root, ".tools", "bin");

/** Where Debian's and other systems' packages put a Chromium. */
const browserNames = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

function onPath(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const file = join(folder, windows ? `${name}.exe` : name);
    if (existsSync(file)) return file;
  }
  return undefined;
}

/** Firefox's long-term version is Debian's, and drives as well as the others. */
function findFirefox() {
  const chosen = process.env.FIREFOX;
  if (chosen !== undefined && existsSync(chosen)) return chosen;
  return ["firefox-esr", "firefox"].map(onPath).find((file) => file !== undefined);
}

function findBrowser() {
  const chosen = process.env.CHROMIUM;
  if (chosen !== undefined && existsSync(chosen)) return chosen;
  return browserNames.map(onPath).find((file) => file !== undefined);
}

function checkPrerequisites() {
  if (Number.parseInt(process.versions.node, 10) < versions.node) {
    giveUp(`coheap needs Node ${versions.node} or newer; this is ${process.version}.`);
  }
  for (const [command, cure] of [
    ["rustup", "install it as https://rustup.rs says"],
    ["cargo", "run `rustup toolchain install stable`"],
  ]) {
    if (onPath(command) === undefined) giveUp(`coheap needs ${command}: ${cure}.`);
  }
  if (!windows && process.env.CC === undefined && !["cc", "gcc", "clang"].some(onPath)) {
    giveUp("coheap needs a C compiler to link its build tools: `apt-get install gcc`, or `xcode-select --install`.");
  }
}

async function installPackages() {
  const manifests = ["package.json", "package-lock.json", "js-host/package.json"];
  const hash = hashOf(manifests, `${process.platform} ${process.arch}`);
  const products = ["package.json", "js-host/package.json"].flatMap((manifest) => {
    const { devDependencies } = JSON.parse(readFileSync(join(root, manifest), "utf8"));
    return Object.keys(devDependencies).map((name) => `node_modules/${name}`);
  });
  await once("npm-packages", hash, products, async () => {
    say("npm packages …");
    // With NODE_ENV=production npm would leave out what the build needs.
    const command = [npm, "ci", "--include=dev", "--no-audit", "--no-fund"];
    await must("npm ci", command, { limitMinutes: 5 });
  });
}

/** The version of the installed compiler as its three numbers, or undefined. */
async function rustVersion() {
  const { code, output } = await run("rustc --version", ["rustc", "--version"]);
  return code === 0 ? output.match(/\d+\.\d+\.\d+/)?.[0] : undefined;
}

function isOlder(version, least) {
  const [a, b] = [version, least].map((text) => text.split(".").map(Number));
  const at = b.findIndex((number, index) => number !== a[index]);
  return at !== -1 && a[at] < b[at];
}

/** Explicit arguments: with RUSTUP_AUTO_INSTALL=0 what rust-toolchain.toml lists is silently not installed. */
async function installTarget() {
  const [, least] = readFileSync(join(root, "Cargo.toml"), "utf8").match(/^rust-version = "(.+)"$/m);
  const found = await rustVersion();
  if (found === undefined) {
    say("The stable Rust toolchain …");
    await must("rustup toolchain install", ["rustup", "toolchain", "install", "stable", "--profile", "minimal"]);
  } else if (isOlder(found, least)) {
    say(`Rust ${least} or newer, in place of ${found} …`);
    await must("rustup update", ["rustup", "update", "stable", "--no-self-update"], { limitMinutes: 10 });
    const now = await rustVersion();
    if (now === undefined || isOlder(now, least))
      giveUp(`coheap needs Rust ${least} or newer; this is ${now ?? found}.`);
  }
  const installed = await run("rustup target list", ["rustup", "target", "list", "--installed"]);
  if (!installed.output.split(/\s+/).includes(versions.target)) {
    say(`The Rust target ${versions.target} …`);
    await must("rustup target add", ["rustup", "target", "add", versions.target], { limitMinutes: 5 });
  }
}

/** What `npm start` needs. */
export async function setupStart() {
  checkPrerequisites();
  await installPackages();
  await installTarget();
}

/** What formatting and lints need besides. */
export async function setupCheck() {
  await setupStart();
  for (const [component, command] of [
    ["rustfmt", ["cargo", "fmt", "--version"]],
    ["clippy", ["cargo", "clippy", "--version"]],
  ]) {
    if (await works(command)) continue;
    say(`The Rust component ${component} …`);
    await must("rustup component add", ["rustup", "component", "add", component], { limitMinutes: 5 });
  }
}

/** A debug-like build of the tools: they run for seconds, so the compiler's time is what counts. */
async function installCargoTool(name, binary, features, mustRun = must) {
  const version = versions[name];
  const product = join(".tools", "bin", windows ? `${binary}.exe` : binary);
  await once(name, version, [product], async () => {
    say(`${name} ${version} into .tools/ …`);
    // By force: a program may be there that cargo knows nothing of, as in a copied folder.
    const command = ["cargo", "install", "--force", "--root", ".tools", "--version", version, ...features, name];
    await mustRun(`cargo install ${name}`, command, {
      cwd: root,
      limitMinutes: 15,
      env: {
        CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
        CARGO_PROFILE_RELEASE_LTO: "off",
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "64",
        CARGO_PROFILE_RELEASE_DEBUG: "false",
        CARGO_TARGET_DIR: join(root, "target", "installed-tools"),
      },
    });
  });
}

/** Answers the program. `mustRun` runs a command, and does what is to be done when it fails. */
export async function installWasmBindgen(mustRun = must) {
  await installCargoTool("wasm-bindgen-cli", "wasm-bindgen", ["--no-default-features"], mustRun);
  return join(toolsBin, windows ? "wasm-bindgen.exe" : "wasm-bindgen");
}

/** Answers what is missing and what brings it, if anything. */
export async function installNightly() {
  const miri = ["cargo", `+${versions.nightly}`, "miri", "--version"];
  const sources = async () => {
    const found = await run("rustc --print sysroot", ["rustc", `+${versions.nightly}`, "--print", "sysroot"]);
    return existsSync(join(found.output.trim(), "lib", "rustlib", "src", "rust", "library", "Cargo.lock"));
  };
  if ((await works(miri)) && (await sources())) return undefined;
  say(`${versions.nightly} with Miri …`);
  const install = ["rustup", "toolchain", "install", versions.nightly];
  install.push("--profile", "minimal", "--component", "miri", "--component", "rust-src");
  await run("rustup toolchain install", install, { limitMinutes: 10 });
  if ((await works(miri)) && (await sources())) return undefined;
  return `Miri, or the source of std, is missing: \`${install.join(" ")}\` brings them.`;
}

/** Installs a package of Debian's, where that is possible, unless `isThere`; answers what is missing and what brings it. */
async function installFromDebian(title, name, isThere, or = "") {
  if (isThere()) return undefined;
  const isRoot = process.getuid?.() === 0;
  const cure = `apt-get update && apt-get install -y --no-install-recommends ${name}`;
  if (isRoot && onPath("apt-get") !== undefined) {
    say(`${title} …`);
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await run(`apt-get install ${name}`, ["sh", "-c", cure], { env, limitMinutes: 10 });
    if (isThere()) return undefined;
  }
  return `${title} is missing: \`${cure}\` as root brings it${or}.`;
}

function installBrowser() {
  const or = ", or name one in the environment as CHROMIUM";
  return installFromDebian("Chromium", "chromium", () => findBrowser() !== undefined, or);
}

function installFirefox() {
  const or = ", or name one in the environment as FIREFOX";
  return installFromDebian("Firefox", "firefox-esr", () => findFirefox() !== undefined, or);
}

/** libFuzzer is written in C++, and built with the targets. */
function installCxx() {
  const isThere = () => process.env.CXX !== undefined || ["c++", "g++", "clang++"].some(onPath);
  return installFromDebian("A C++ compiler", "g++", isThere, ", or name one in the environment as CXX");
}

/** wasm-pack would download one. */
function installDriver() {
  const isThere = () => onPath("chromedriver") !== undefined;
  return installFromDebian(
    "ChromeDriver",
    "chromium-driver",
    isThere,
    ", or put one of your Chromium's version on the PATH",
  );
}

/** The browser that ChromeDriver is to start is the one of the other tests. */
function chooseBrowserOfDriver(browser) {
  const file = join(root, ".tools", "webdriver.json");
  mkdirSync(join(root, ".tools"), { recursive: true });
  writeFileSync(file, JSON.stringify({ "goog:chromeOptions": { binary: browser } }));
  return file;
}

/** What else runs JavaScript, as tests/runtimes/package.json says; answers what is missing and what brings it. */
async function installRuntimes() {
  const manifests = ["package.json", "package-lock.json"];
  const from = join("tests", "runtimes");
  const folder = join(root, runtimesFolder);
  const hash = hashOf(
    manifests.map((name) => join(from, name)),
    `${process.platform} ${process.arch}`,
  );
  const lacking = [];
  const install = async () => {
    say("Node 20, 22, 24 and 26, Deno and Bun into .tools/, 900 MB, once …");
    mkdirSync(folder, { recursive: true });
    for (const name of manifests) copyFileSync(join(root, from, name), join(folder, name));
    // Not "ci": the lock names Deno's package for one platform only, as not every registry has the others.
    const command = [npm, "install", "--no-audit", "--no-fund"];
    await run("npm install of other runtimes", command, { cwd: folder, limitMinutes: 10 });
    for (const [name, program] of Object.entries(runtimes)) {
      if (!(await works([join(root, program), "--version"]))) lacking.push(name);
    }
    if (lacking.length > 0) throw lacking;
  };
  try {
    await once("runtimes", hash, Object.values(runtimes), install);
    return undefined;
  } catch (error) {
    if (error !== lacking) throw error;
    return `npm brings no ${lacking.join(", no ")} here: \`npm install\` in ${runtimesFolder} says why.`;
  }
}

/**
 * What `npm test` needs.
 *
 * @returns {Promise<{ missing: Record<string, string>, env: Record<string, string> }>} `missing`: by name, a sentence
 *   that says what is missing and what brings it; `env`: what the suites find the tools by
 */
export async function setupTest() {
  await setupStart();
  await installWasmBindgen();
  await installCargoTool("wasm-pack", "wasm-pack", []);
  await installCargoTool("cargo-fuzz", "cargo-fuzz", []);
  const found = {
    nightly: await installNightly(),
    cxx: await installCxx(),
    chromium: await installBrowser(),
    chromedriver: await installDriver(),
    firefox: await installFirefox(),
    runtimes: await installRuntimes(),
  };
  const missing = Object.fromEntries(Object.entries(found).filter(([, sentence]) => sentence !== undefined));
  const env = { PATH: `${toolsBin}${delimiter}${process.env.PATH}`, COHEAP_NIGHTLY: versions.nightly };
  const firefox = findFirefox();
  if (firefox !== undefined) env.FIREFOX = firefox;
  const browser = findBrowser();
  if (browser !== undefined) {
    env.CHROMIUM = browser;
    env.WASM_BINDGEN_TEST_WEBDRIVER_JSON = chooseBrowserOfDriver(browser);
  }
  return { missing, env };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const levels = { start: setupStart, check: setupCheck, test: setupTest };
  const level = levels[process.argv[2] ?? "start"];
  if (level === undefined) giveUp(`setup: the levels are ${Object.keys(levels).join(", ")}.`);
  const result = await level();
  for (const sentence of Object.values(result?.missing ?? {})) say(sentence);
  say("Set up.");
}
