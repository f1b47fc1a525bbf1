# Trains and films on the CPU: docker build -t pymarl . && docker run -v "$PWD/results:/pymarl/results" pymarl --fast
# Arguments are those of run.sh. StarCraft II is not in it, skirmish needs none.
FROM python:3.11-slim
WORKDIR /pymarl
# The packages first, so that a change of the code does not install them again.
COPY setup.sh requirements*.txt ./
RUN ["bash", "-c", "source ./setup.sh && install requirements.txt"]
COPY . .
ENTRYPOINT ["./run.sh"]
