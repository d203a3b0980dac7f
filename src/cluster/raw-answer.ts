/** Answers to a WebSocket upgrade, written to its socket by hand: there is no response object, and may be no WebSocket. */
import { createHash } from 'node:crypto';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, type ErrorCode, GameError } from '../kernel/errors.ts';

/** From RFC 6455. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Until a client that was told must have closed its side, ms. */
const CLOSE_GRACE_MS = 2_000;

/** Refuses the upgrade with the status of the code; the body is `{code, error}`. An SDK sees 1006 and tries again. */
export function refuseUpgrade(socket: Duplex, code: ErrorCode): void {
  const { status, retry } = ERRORS[code];
  const text = JSON.stringify({ code, error: new GameError(code).message });
  end(
    socket,
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nCache-Control: no-store\r\n${retry ? 'Retry-After: 1\r\n' : ''}` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

/**
 * Accepts the upgrade and closes it at once with a close code and the reason: what an SDK takes for an end, and hands
 * to the game. A client that does not speak WebSocket 13 is refused INVALID_INPUT.
 */
export function closeUpgrade(request: IncomingMessage, socket: Duplex, closeCode: number, reason: ErrorCode): void {
  const key = request.headers['sec-websocket-key'];
  if (key === undefined || !/^[+/0-9A-Za-z]{22}==$/.test(key) || request.headers['sec-websocket-version'] !== '13') {
    refuseUpgrade(socket, 'INVALID_INPUT');
    return;
  }
  const accept = createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64');
  const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
  // An unmasked, final close frame; a reason is below 123 bytes as every code is.
  const frame = Buffer.alloc(4 + reason.length);
  frame[0] = 0x88;
  frame[1] = 2 + reason.length;
  frame.writeUInt16BE(closeCode, 2);
  frame.write(reason, 4, 'latin1');
  end(socket, Buffer.concat([Buffer.from(head, 'latin1'), frame]));
}

function end(socket: Duplex, bytes: string | Buffer): void {
  const timer = setTimeout(() => socket.destroy(), CLOSE_GRACE_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.on('error', () => socket.destroy());
  // Read on, or the end of the other side is never seen.
  socket.resume();
  socket.once('end', () => socket.destroy());
  socket.end(bytes);
}
