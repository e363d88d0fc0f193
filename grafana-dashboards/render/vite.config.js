// Serves the built page, and passes its queries on to Prometheus.
import { defineConfig } from 'vite';

const proxy = { '/api': process.env.PROMETHEUS ?? 'http://127.0.0.1:9090' };

export default defineConfig({
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
  esbuild: { jsx: 'automatic' },
  build: { target: 'es2022', minify: false, chunkSizeWarningLimit: 99999 },
  server: { fs: { allow: ['..'] } },
  preview: { host: '127.0.0.1', strictPort: true, proxy },
});
