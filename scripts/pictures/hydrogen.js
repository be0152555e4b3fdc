// Hydrogen as a whole application: sign-in, list of rooms, timelines. build.sh bundles it.
import {
  FeatureSet,
  Platform,
  RootViewModel,
  createNavigation,
  createRouter,
} from "hydrogen-view-sdk";

const platform = new Platform({
  container: document.querySelector("#app"),
  assetPaths: {
    downloadSandbox: "/assets/download-sandbox.html",
    worker: "/assets/main.js",
    // Pictures in rooms need a signed-in request, which only the service worker can make.
    serviceWorker: "/sw.js",
    olm: { wasm: "/olm.wasm", wasmBundle: "/olm.js", legacyBundle: "/olm_legacy.js" },
  },
  config: {},
  options: { development: false },
});
await platform.init();
const navigation = createNavigation();
platform.setNavigation(navigation);
const urlRouter = createRouter({ navigation, history: platform.history });
urlRouter.attach();
const features = await FeatureSet.load(platform.settingsStorage);
const root = new RootViewModel({ platform, urlRouter, navigation, features });
await root.load();
platform.createAndMountRootView(root);
