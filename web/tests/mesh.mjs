// A mesh of real processes with a data folder of its own.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export const PLANARIA = process.env.PLANARIA_BIN ?? here('../../target/release/planaria');
/** Until something that must happen has happened. */
export const PATIENCE_MS = 20_000;

/** Longer than any workflow of the tests takes, with its healing. */
const COMMAND_MS = 90_000;

/** Asks until there is an answer that is true; it is the result. */
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`${what} did not happen in ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Mesh {
  /** Starts one with two workers and waits until both are alive. */
  static async start({ workers = 2 } = {}) {
    const mesh = new Mesh();
    mesh.folder = await mkdtemp(join(tmpdir(), 'planaria-web-'));
    mesh.port = await freePort();
    mesh.address = `http://127.0.0.1:${mesh.port}`;
    await mesh.up(workers);
    return mesh;
  }

  async up(workers = 2) {
    const options = ['up', '--data-dir', this.folder, '--port', this.port, '--workers', workers];
    // Its workers end with its standard input, whatever becomes of it.
    this.process = spawn(PLANARIA, options.map(String), { stdio: ['pipe', 'ignore', 'inherit'] });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    await until('the start of the mesh', async () => {
      const alive = await this.ask('worker', 'list').catch(() => []);
      return alive.length >= workers;
    });
  }

  /** A command of `planaria`; its JSON. */
  async ask(...words) {
    const options = [...words, '--addr', this.address, '--output', 'json'];
    const { stdout } = await run(PLANARIA, options, { maxBuffer: 64 << 20, timeout: COMMAND_MS });
    return JSON.parse(stdout);
  }

  /** Ends the whole mesh as a power cut would. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The path of an order that fails. */
export const failing = (name) => here(`../src/pages/overview/failures/${name}.yaml`);
