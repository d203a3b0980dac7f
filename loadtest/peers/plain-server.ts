/** A process with plain rooms; see plain-room.ts. Colyseus with its defaults, no routes of its own but the peer's. */
import { createServer } from 'node:http';
import { defineRoom, defineServer } from '@colyseus/core';
import { WebSocketTransport } from '@colyseus/ws-transport';
import { answerPeerRequest, peerOptions } from './peer-endpoints.ts';
import { PlainRoom, type PlainRoomOptions } from './plain-room.ts';

const options = peerOptions({ port: 0, tick: 20, patch: 20, 'per-room': 50, json: 0 });
const roomOptions: PlainRoomOptions = {
  seats: options['per-room'],
  tickRateHz: options.tick,
  patchRateHz: options.patch,
  isJson: options.json !== 0,
};

const httpServer = createServer();
const server = defineServer({
  rooms: { plain: defineRoom(PlainRoom, roomOptions) },
  transport: new WebSocketTransport({ server: httpServer }),
  greet: false,
  gracefullyShutdown: false,
  express: (app) => {
    app.use((request, response, next) => {
      if (!answerPeerRequest(request, response)) next();
    });
  },
});
process.once('SIGTERM', () => process.exit());
await server.listen(options.port, '127.0.0.1');
