/*
 * A small measuring program that crashes the way C++ programs do: in a thread of its own, below a
 * virtual call, in a function that was inlined twice, because a look-up found nothing.
 */
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace sampler
{

struct Curve {
    double slope, offset;
};

struct Channel {
    std::string name;
    std::unique_ptr<Curve> curve;
};

class Registry
{
  public:
    void add(const std::string &name, double slope, double offset)
    {
        channels_.push_back(Channel{ name, std::make_unique<Curve>(Curve{ slope, offset }) });
    }

    const Channel *find(const std::string &name) const
    {
        for (const Channel &channel : channels_) {
            if (channel.name == name) {
                return &channel;
            }
        }
        return nullptr;
    }

  private:
    std::vector<Channel> channels_;
};

/* Inlined into scale(): reads through a null pointer when the channel is not known. */
static inline const Curve &curve_of(const Channel *channel)
{
    return *channel->curve;
}

static inline double scale(const Channel *channel, double value)
{
    const Curve &curve = curve_of(channel);

    return value * curve.slope + curve.offset;
}

class Stage
{
  public:
    virtual ~Stage() = default;
    virtual void apply(const Registry &registry, std::vector<double> &samples) = 0;
};

class Smooth : public Stage
{
  public:
    void apply(const Registry &, std::vector<double> &samples) override
    {
        for (std::size_t i = 1; i < samples.size(); i++) {
            samples[i] = (samples[i - 1] + samples[i]) / 2;
        }
    }
};

class Calibrate : public Stage
{
  public:
    explicit Calibrate(std::string channel) : channel_(std::move(channel))
    {
    }

    __attribute__((noinline)) void apply(const Registry &registry,
                                         std::vector<double> &samples) override
    {
        const Channel *channel = registry.find(channel_);

        std::transform(samples.begin(), samples.end(), samples.begin(),
                       [channel](double value) { return scale(channel, value); });
    }

  private:
    std::string channel_;
};

class Pipeline
{
  public:
    template <class S, class... Args> void add(Args... args)
    {
        stages_.push_back(std::make_unique<S>(args...));
    }

    __attribute__((noinline)) double run(const Registry &registry, std::vector<double> samples)
    {
        for (auto &stage : stages_) {
            stage->apply(registry, samples);
        }
        return samples.back();
    }

  private:
    std::vector<std::unique_ptr<Stage>> stages_;
};

template <class T> struct Job {
    Pipeline pipeline;
    Registry registry;
    T result;

    __attribute__((noinline)) void execute(int rounds)
    {
        result = T();
        for (int i = 0; i < rounds; i++) {
            result +=
                pipeline.run(registry, std::vector<double>(static_cast<std::size_t>(8 + i), 1.5));
        }
    }
};

} // namespace sampler

static void *sample_main(void *arg)
{
    auto *job = static_cast<sampler::Job<double> *>(arg);

    pthread_setname_np(pthread_self(), "sample-worker");
    usleep(200000); /* until the main thread waits for this one */
    job->execute(3);
    return job;
}

int main()
{
    sampler::Job<double> job;
    pthread_t thread;

    job.registry.add("temperature", 0.25, -40.0);
    job.registry.add("pressure", 4.0, 1.0);
    job.pipeline.add<sampler::Smooth>();
    job.pipeline.add<sampler::Calibrate>("humidity"); /* nobody added it */
    if (pthread_create(&thread, nullptr, sample_main, &job)) {
        return EXIT_FAILURE;
    }
    pthread_join(thread, nullptr);
    return job.result > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
