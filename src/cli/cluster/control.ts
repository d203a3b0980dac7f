/**
 * How a command reaches the cluster that another terminal has started: a Unix socket beside the data folder's file
 * `cluster.json`, which says where it is. One request a connection, a line of JSON; the answer is lines of JSON, the
 * last of which has the exit code.
 */
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { GameError } from '../../kernel/errors.ts';

/** `sun_path` holds 108 bytes, the last one zero. */
const SOCKET_PATH_BYTES_MAX = 107;
const REQUEST_CHARS_MAX = 1024;
const FILE = 'cluster.json';

const name = z.string().regex(/^[\w-]{1,64}$/);
const request = z.discriminatedUnion('command', [
  z.strictObject({ command: z.literal('posts') }),
  z.strictObject({ command: z.literal('roll'), names: z.array(name).max(64), build: z.string().max(64).optional() }),
]);
export type ControlRequest = z.output<typeof request>;

const place = z.object({
  pid: z.int(),
  url: z.string(),
  socket: z.string(),
  redisUrl: z.string(),
  databaseUrl: z.string(),
});
/** Of a cluster that runs on this machine. Holds passwords: the file is its owner's only. */
export type ClusterPlace = z.output<typeof place>;

const reply = z.union([z.object({ line: z.string() }), z.object({ exitCode: z.int() }).loose()]);
type Final = { readonly exitCode: number; readonly [fact: string]: unknown };

export type Answer = (request: ControlRequest, say: (line: string) => void) => Promise<Final>;

/** Serves commands. @returns how to end it; the file goes with it */
export async function serveControl(
  dataDir: string,
  facts: Omit<ClusterPlace, 'socket' | 'pid'>,
  answer: Answer,
): Promise<() => Promise<void>> {
  const path = await socketPath(dataDir);
  await rm(path, { force: true });
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serve(socket, answer).catch(() => socket.destroy());
  });
  server.listen(path);
  await once(server, 'listening');
  await chmod(path, 0o600);
  const file = join(resolve(dataDir), FILE);
  const text = `${JSON.stringify({ ...facts, pid: process.pid, socket: path })}\n`;
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return async () => {
    await rm(file, { force: true });
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
}

async function serve(socket: Socket, answer: Answer): Promise<void> {
  let text = '';
  socket.setEncoding('utf8');
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.length > REQUEST_CHARS_MAX) throw new Error('the request is too long');
    if (text.includes('\n')) break;
  }
  const asked = request.parse(JSON.parse(text));
  const tell = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
  tell(await answer(asked, (line) => tell({ line })));
  socket.end();
}

/** Where the cluster of a data folder is; undefined if none runs. */
export async function runningCluster(dataDir: string): Promise<ClusterPlace | undefined> {
  const text = await readFile(join(resolve(dataDir), FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const parsed = place.safeParse(JSON.parse(text));
  if (!parsed.success) return undefined;
  // What a killed supervisor left behind has nobody who listens.
  return (await isListening(parsed.data.socket)) ? parsed.data : undefined;
}

/** @throws GameError STORE_UNAVAILABLE if the cluster ends in the middle */
export async function askCluster(
  { socket: path }: ClusterPlace,
  asked: ControlRequest,
  say: (line: string) => void,
): Promise<Final> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    socket.write(`${JSON.stringify(asked)}\n`);
    for await (const line of createInterface({ input: socket })) {
      const got = reply.parse(JSON.parse(line));
      if ('exitCode' in got) return got as Final;
      say((got as { line: string }).line);
    }
  } finally {
    socket.destroy();
  }
  throw new GameError('STORE_UNAVAILABLE', { reason: 'the cluster ended before it answered' });
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolveWith) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolveWith(true);
    });
    socket.once('error', () => resolveWith(false));
  });
}

/** In the data folder, or where its path is too long for a socket in a folder of its own. */
async function socketPath(dataDir: string): Promise<string> {
  const near = join(resolve(dataDir), 'cluster.sock');
  if (Buffer.byteLength(near) <= SOCKET_PATH_BYTES_MAX) return near;
  return join(await mkdtemp(join(tmpdir(), 'hypogeum-cluster-')), 'cluster.sock');
}
