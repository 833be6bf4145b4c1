/**
 * Samples the delivery rate of a path.
 *
 * @module
 */

/** The sampler. */
export class DeliveryRateSampler {
  onSent(_sent: unknown, _inFlight: number, _now: number): void {}
  onAcked(_info: unknown): void {}
  onAppLimited(): void {}
}
