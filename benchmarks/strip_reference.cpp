// The strip of the reference mix in C++, sixteen channels to a vector: what a compiled engine would reach on this machine.
// g++ -O3 -march=native -ffast-math -shared -fPIC strip_reference.cpp -o strip_reference.so
#include <cstdint>
#include <cstring>

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t whole __attribute__((vector_size(64)));

static inline lanes splat(float x) { return lanes{} + x; }
static inline lanes bits(whole i) { lanes f; std::memcpy(&f, &i, sizeof f); return f; }
static inline whole bits(lanes f) { whole i; std::memcpy(&i, &f, sizeof i); return i; }
static inline lanes larger(lanes a, lanes b) { return a > b ? a : b; }
static inline lanes smaller(lanes a, lanes b) { return a < b ? a : b; }

static inline lanes octaves(lanes x) {
    whole i = bits(x);
    lanes exponent = __builtin_convertvector((i >> 23) - 127, lanes);
    lanes t = bits((i & 0x7fffff) | 0x3f800000) - 1.0f;
    lanes p = splat(0.0155299f);
    const float c[] = {-0.0795578f, 0.1942943f, -0.3259020f, 0.4735534f, -0.7205855f, 1.4426678f};
    for (float k : c) p = p * t + k;
    return p * t + exponent;
}

static inline lanes power(lanes x) {
    x = larger(x, splat(-126.0f));
    whole k = __builtin_convertvector(x - 0.5f, whole);
    lanes f = x - __builtin_convertvector(k, lanes);
    lanes p = splat(0.0013265f);
    const float c[] = {0.0096715f, 0.0555073f, 0.2402224f, 0.6931470f, 1.0f};
    for (float q : c) p = p * f + q;
    return p * bits((k + 127) << 23);
}

// audio: 16 planar rows of `stride`; sections: [5][6][16] g-derived a1 a2 a3 m0 m1 m2; states: [11][16];
// comp: [8][16] threshold, slope, half knee, knee, slope/2knee, attack pole, release pole, make-up, all in octaves;
// gains: [4][16]; out: [frames][4], added to.
extern "C" void strip(const float *audio, long stride, long frames, const lanes *sections, lanes *states,
                      const lanes *comp, const whole *linked, const lanes *gains, float *out) {
    lanes s[11];
    std::memcpy(s, states, sizeof s);
    const whole neighbour = {1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14};
    const whole lower = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}, upper = lower + 8;
    const whole even = {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27}, odd = even + 4;
    const whole two = {2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13};
    float tile[16][16];
    for (long start = 0; start < frames; start += 16) {
        for (int lane = 0; lane < 16; lane++)
            for (int i = 0; i < 16; i++) tile[i][lane] = audio[lane * stride + start + i];
        for (int i = 0; i < 16; i++) {
            lanes v;
            std::memcpy(&v, tile[i], sizeof v);
            for (int k = 0; k < 5; k++) {
                const lanes *c = sections + 6 * k;
                lanes v3 = v - s[2 * k + 1];
                lanes v1 = c[0] * s[2 * k] + c[1] * v3;
                lanes v2 = s[2 * k + 1] + c[1] * s[2 * k] + c[2] * v3;
                s[2 * k] = v1 + v1 - s[2 * k];
                s[2 * k + 1] = v2 + v2 - s[2 * k + 1];
                v = c[3] * v + c[4] * v1 + c[5] * v2;
            }
            lanes level = bits(bits(v) & 0x7fffffff);
            level = larger(level, bits(bits(__builtin_shuffle(level, neighbour)) & *linked));
            lanes over = octaves(larger(level, splat(1e-15f))) - comp[0];
            lanes t = smaller(larger(over + comp[2], splat(0.0f)), comp[3]);
            lanes target = comp[4] * t * t + comp[1] * larger(over - comp[2], splat(0.0f));
            lanes pole = target < s[10] ? comp[5] : comp[6];
            s[10] = target + pole * (s[10] - target);
            lanes y = v * power(s[10] + comp[7]);
            // Halve twice while joining the four destinations, then twice within each quarter.
            lanes a = y * gains[0], b = y * gains[1], c = y * gains[2], d = y * gains[3];
            lanes ab = __builtin_shuffle(a, b, lower) + __builtin_shuffle(a, b, upper);
            lanes cd = __builtin_shuffle(c, d, lower) + __builtin_shuffle(c, d, upper);
            lanes all = __builtin_shuffle(ab, cd, even) + __builtin_shuffle(ab, cd, odd);
            all += __builtin_shuffle(all, two);
            all += __builtin_shuffle(all, neighbour);
            for (int k = 0; k < 4; k++) out[4 * (start + i) + k] += all[4 * k];
        }
    }
    std::memcpy(states, s, sizeof s);
}
