/**
 * The floor: nothing but `ws`. Reads every input frame and counts it, and sends every client as many frames of the same
 * size as the arena would, with the same nine bytes in front (server time and inputs consumed) and no game.
 */
import { createServer } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { answerPeerRequest, peerOptions } from './peer-endpoints.ts';

const PATCH_TIMED = 15 | 0x80;
const HEADER_BYTES = 9;

const options = peerOptions({ port: 0, rate: 20, 'per-room': 50, bytes: 250 });
const startMs = performance.now();

interface Connection {
  readonly socket: WebSocket;
  /** Kept for the connection's life: a frame still in the socket's queue may go out with newer numbers. */
  readonly frame: Buffer;
  inputs: number;
}

const rooms: Set<Connection>[] = [];

function sendFrames(room: Set<Connection>): void {
  const sinceStartMs = Math.floor(performance.now() - startMs);
  for (const { socket, frame, inputs } of room) {
    frame.writeUInt32LE(sinceStartMs, 1);
    frame.writeUInt32LE(inputs, 5);
    socket.send(frame, { binary: true });
  }
}

function seat(connection: Connection): Set<Connection> {
  let room = rooms.find((candidate) => candidate.size < options['per-room']);
  if (room === undefined) {
    room = new Set();
    rooms.push(room);
    startBeat(room, rooms.length - 1);
  }
  room.add(connection);
  return room;
}

/** Drift-free, and rooms are spread over the period like the arena's. */
function startBeat(room: Set<Connection>, index: number): void {
  const periodMs = 1000 / options.rate;
  let nextMs = performance.now() + ((index * 0.618) % 1) * periodMs;
  const beat = () => {
    sendFrames(room);
    nextMs += periodMs;
    setTimeout(beat, Math.max(0, nextMs - performance.now()));
  };
  setTimeout(beat, Math.max(0, nextMs - performance.now()));
}

const server = createServer((request, response) => {
  if (!answerPeerRequest(request, response)) response.writeHead(404).end();
});
new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 4096 }).on('connection', (socket) => {
  const frame = Buffer.alloc(Math.max(HEADER_BYTES, Math.round(options.bytes)));
  frame[0] = PATCH_TIMED;
  const connection: Connection = { socket, frame, inputs: 0 };
  const room = seat(connection);
  socket.on('message', () => {
    connection.inputs++;
  });
  socket.on('close', () => room.delete(connection));
  socket.on('error', () => socket.terminate());
});
server.listen(options.port, '127.0.0.1');
process.once('SIGTERM', () => process.exit());
