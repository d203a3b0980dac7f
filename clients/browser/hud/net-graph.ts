/** The overlay with the connection's numbers and a strip of the last hundred frames. */
import type { NetMeter } from '../net/net-meter.ts';
import { element, setText } from './element.ts';

const WIDTH = 210;
const HEIGHT = 54;
const REFRESH_MS = 250;

export class NetGraph {
  readonly root = element('section', { class: 'net-graph', 'aria-label': 'Connection' });
  readonly #canvas = element('canvas', { 'aria-hidden': 'true' });
  readonly #values: HTMLElement[] = [];
  #refreshedAtMs = 0;

  constructor() {
    this.#canvas.width = WIDTH * 2;
    this.#canvas.height = HEIGHT * 2;
    const list = element('dl');
    for (const label of ['Round trip', 'Jitter', 'Tick', 'Patches', 'Received', 'Corrections', 'Pending inputs']) {
      const value = element('dd', { class: 'number', text: '–' });
      this.#values.push(value);
      list.append(element('dt', { text: label }), value);
    }
    this.root.append(this.#canvas, list);
    this.root.hidden = true;
  }

  toggle(): void {
    this.root.hidden = !this.root.hidden;
  }

  refresh(nowMs: number, meter: NetMeter): void {
    if (this.root.hidden || nowMs - this.#refreshedAtMs < REFRESH_MS) return;
    this.#refreshedAtMs = nowMs;
    const { reading } = meter;
    const texts = [
      `${reading.rttMs.toFixed(0)} ms`,
      `${reading.jitterMs.toFixed(1)} ms`,
      `${reading.tick}`,
      `${reading.patchesPerSecond.toFixed(0)} /s`,
      `${(reading.patchBytesPerSecond / 1000).toFixed(2)} kB/s`,
      `${reading.correctionsPerSecond.toFixed(0)} /s`,
      `${reading.pendingInputs}`,
    ];
    for (let i = 0; i < texts.length; i++) setText(this.#values[i]!, texts[i]!);
    this.#draw(meter);
  }

  #draw(meter: NetMeter): void {
    const context = this.#canvas.getContext('2d');
    if (context === null) return;
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    const count = meter.historyBytes.length;
    const step = WIDTH / count;
    let bytesMax = 64;
    for (const bytes of meter.historyBytes) if (bytes > bytesMax) bytesMax = bytes;
    for (let i = 0; i < count; i++) {
      const at = (meter.historyAt + i) % count;
      const height = (meter.historyBytes[at]! / bytesMax) * (HEIGHT - 4);
      context.fillStyle = meter.historyGapMs[at]! > 100 ? '#ff7a3d' : '#56b4e9';
      context.fillRect(i * step, HEIGHT - height, step - 0.4, height);
    }
    context.strokeStyle = '#f0e442';
    context.lineWidth = 1;
    context.beginPath();
    for (let i = 0; i < count; i++) {
      const gap = Math.min(150, meter.historyGapMs[(meter.historyAt + i) % count]!);
      const y = HEIGHT - (gap / 150) * HEIGHT;
      if (i === 0) context.moveTo(0, y);
      else context.lineTo(i * step, y);
    }
    context.stroke();
  }
}
