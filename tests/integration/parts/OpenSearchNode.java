// One OpenSearch node without its distribution: `java OpenSearchNode.java FOLDER PORT TRANSPORT_PORT`, on loopback.
// Says READY when it listens, and ends in order on SIGTERM.
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

import org.opensearch.common.settings.Settings;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.script.mustache.MustachePlugin;
import org.opensearch.transport.Netty4Plugin;

public class OpenSearchNode {
    static class Embedded extends Node {
        Embedded(Settings settings, Path config) {
            super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "node"),
                  List.of(Netty4Plugin.class, ReindexPlugin.class, MustachePlugin.class), false);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        for (String folder : new String[] {"config", "data", "logs", "modules", "plugins", "lib"})
            Files.createDirectories(home.resolve(folder));
        Settings settings = Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "weir-tests")
            .put("node.name", "node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[1])
            .put("transport.port", args[2])
            .put("discovery.type", "single-node")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("node.store.allow_mmap", false)
            .build();
        Node node = new Embedded(settings, home.resolve("config"));
        node.start();
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
            ended.countDown();
        }));
        System.out.println("READY");
        System.out.flush();
        ended.await();
    }
}
